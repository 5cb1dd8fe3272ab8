var dt=globalThis,ht=dt.ShadowRoot&&(dt.ShadyCSS===void 0||dt.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,Nt=Symbol(),$e=new WeakMap,Y=class{constructor(i,t,e){if(this._$cssResult$=!0,e!==Nt)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=i,this.t=t}get styleSheet(){let i=this.o,t=this.t;if(ht&&i===void 0){let e=t!==void 0&&t.length===1;e&&(i=$e.get(t)),i===void 0&&((this.o=i=new CSSStyleSheet).replaceSync(this.cssText),e&&$e.set(t,i))}return i}toString(){return this.cssText}},xe=r=>new Y(typeof r=="string"?r:r+"",void 0,Nt),b=(r,...i)=>{let t=r.length===1?r[0]:i.reduce((e,s,n)=>e+(a=>{if(a._$cssResult$===!0)return a.cssText;if(typeof a=="number")return a;throw Error("Value passed to 'css' function must be a 'css' function result: "+a+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(s)+r[n+1],r[0]);return new Y(t,r,Nt)},Ee=(r,i)=>{if(ht)r.adoptedStyleSheets=i.map(t=>t instanceof CSSStyleSheet?t:t.styleSheet);else for(let t of i){let e=document.createElement("style"),s=dt.litNonce;s!==void 0&&e.setAttribute("nonce",s),e.textContent=t.cssText,r.appendChild(e)}},Ut=ht?r=>r:r=>r instanceof CSSStyleSheet?(i=>{let t="";for(let e of i.cssRules)t+=e.cssText;return xe(t)})(r):r;var{is:Mi,defineProperty:Li,getOwnPropertyDescriptor:zi,getOwnPropertyNames:Hi,getOwnPropertySymbols:Oi,getPrototypeOf:Ii}=Object,pt=globalThis,ke=pt.trustedTypes,Ni=ke?ke.emptyScript:"",Ui=pt.reactiveElementPolyfillSupport,G=(r,i)=>r,Dt={toAttribute(r,i){switch(i){case Boolean:r=r?Ni:null;break;case Object:case Array:r=r==null?r:JSON.stringify(r)}return r},fromAttribute(r,i){let t=r;switch(i){case Boolean:t=r!==null;break;case Number:t=r===null?null:Number(r);break;case Object:case Array:try{t=JSON.parse(r)}catch{t=null}}return t}},Se=(r,i)=>!Mi(r,i),Ce={attribute:!0,type:String,converter:Dt,reflect:!1,useDefault:!1,hasChanged:Se};Symbol.metadata??=Symbol("metadata"),pt.litPropertyMetadata??=new WeakMap;var S=class extends HTMLElement{static addInitializer(i){this._$Ei(),(this.l??=[]).push(i)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(i,t=Ce){if(t.state&&(t.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(i)&&((t=Object.create(t)).wrapped=!0),this.elementProperties.set(i,t),!t.noAccessor){let e=Symbol(),s=this.getPropertyDescriptor(i,e,t);s!==void 0&&Li(this.prototype,i,s)}}static getPropertyDescriptor(i,t,e){let{get:s,set:n}=zi(this.prototype,i)??{get(){return this[t]},set(a){this[t]=a}};return{get:s,set(a){let o=s?.call(this);n?.call(this,a),this.requestUpdate(i,o,e)},configurable:!0,enumerable:!0}}static getPropertyOptions(i){return this.elementProperties.get(i)??Ce}static _$Ei(){if(this.hasOwnProperty(G("elementProperties")))return;let i=Ii(this);i.finalize(),i.l!==void 0&&(this.l=[...i.l]),this.elementProperties=new Map(i.elementProperties)}static finalize(){if(this.hasOwnProperty(G("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(G("properties"))){let t=this.properties,e=[...Hi(t),...Oi(t)];for(let s of e)this.createProperty(s,t[s])}let i=this[Symbol.metadata];if(i!==null){let t=litPropertyMetadata.get(i);if(t!==void 0)for(let[e,s]of t)this.elementProperties.set(e,s)}this._$Eh=new Map;for(let[t,e]of this.elementProperties){let s=this._$Eu(t,e);s!==void 0&&this._$Eh.set(s,t)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(i){let t=[];if(Array.isArray(i)){let e=new Set(i.flat(1/0).reverse());for(let s of e)t.unshift(Ut(s))}else i!==void 0&&t.push(Ut(i));return t}static _$Eu(i,t){let e=t.attribute;return e===!1?void 0:typeof e=="string"?e:typeof i=="string"?i.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(i=>this.enableUpdating=i),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(i=>i(this))}addController(i){(this._$EO??=new Set).add(i),this.renderRoot!==void 0&&this.isConnected&&i.hostConnected?.()}removeController(i){this._$EO?.delete(i)}_$E_(){let i=new Map,t=this.constructor.elementProperties;for(let e of t.keys())this.hasOwnProperty(e)&&(i.set(e,this[e]),delete this[e]);i.size>0&&(this._$Ep=i)}createRenderRoot(){let i=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return Ee(i,this.constructor.elementStyles),i}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(i=>i.hostConnected?.())}enableUpdating(i){}disconnectedCallback(){this._$EO?.forEach(i=>i.hostDisconnected?.())}attributeChangedCallback(i,t,e){this._$AK(i,e)}_$ET(i,t){let e=this.constructor.elementProperties.get(i),s=this.constructor._$Eu(i,e);if(s!==void 0&&e.reflect===!0){let n=(e.converter?.toAttribute!==void 0?e.converter:Dt).toAttribute(t,e.type);this._$Em=i,n==null?this.removeAttribute(s):this.setAttribute(s,n),this._$Em=null}}_$AK(i,t){let e=this.constructor,s=e._$Eh.get(i);if(s!==void 0&&this._$Em!==s){let n=e.getPropertyOptions(s),a=typeof n.converter=="function"?{fromAttribute:n.converter}:n.converter?.fromAttribute!==void 0?n.converter:Dt;this._$Em=s;let o=a.fromAttribute(t,n.type);this[s]=o??this._$Ej?.get(s)??o,this._$Em=null}}requestUpdate(i,t,e,s=!1,n){if(i!==void 0){let a=this.constructor;if(s===!1&&(n=this[i]),e??=a.getPropertyOptions(i),!((e.hasChanged??Se)(n,t)||e.useDefault&&e.reflect&&n===this._$Ej?.get(i)&&!this.hasAttribute(a._$Eu(i,e))))return;this.C(i,t,e)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(i,t,{useDefault:e,reflect:s,wrapped:n},a){e&&!(this._$Ej??=new Map).has(i)&&(this._$Ej.set(i,a??t??this[i]),n!==!0||a!==void 0)||(this._$AL.has(i)||(this.hasUpdated||e||(t=void 0),this._$AL.set(i,t)),s===!0&&this._$Em!==i&&(this._$Eq??=new Set).add(i))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(t){Promise.reject(t)}let i=this.scheduleUpdate();return i!=null&&await i,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[s,n]of this._$Ep)this[s]=n;this._$Ep=void 0}let e=this.constructor.elementProperties;if(e.size>0)for(let[s,n]of e){let{wrapped:a}=n,o=this[s];a!==!0||this._$AL.has(s)||o===void 0||this.C(s,void 0,n,o)}}let i=!1,t=this._$AL;try{i=this.shouldUpdate(t),i?(this.willUpdate(t),this._$EO?.forEach(e=>e.hostUpdate?.()),this.update(t)):this._$EM()}catch(e){throw i=!1,this._$EM(),e}i&&this._$AE(t)}willUpdate(i){}_$AE(i){this._$EO?.forEach(t=>t.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(i)),this.updated(i)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(i){return!0}update(i){this._$Eq&&=this._$Eq.forEach(t=>this._$ET(t,this[t])),this._$EM()}updated(i){}firstUpdated(i){}};S.elementStyles=[],S.shadowRootOptions={mode:"open"},S[G("elementProperties")]=new Map,S[G("finalized")]=new Map,Ui?.({ReactiveElement:S}),(pt.reactiveElementVersions??=[]).push("2.1.2");var jt=globalThis,Ae=r=>r,ut=jt.trustedTypes,Te=ut?ut.createPolicy("lit-html",{createHTML:r=>r}):void 0,Vt="$lit$",A=`lit$${Math.random().toFixed(9).slice(2)}$`,Bt="?"+A,Di=`<${Bt}>`,O=document,J=()=>O.createComment(""),Q=r=>r===null||typeof r!="object"&&typeof r!="function",qt=Array.isArray,He=r=>qt(r)||typeof r?.[Symbol.iterator]=="function",Ft=`[ 	
\f\r]`,X=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,Re=/-->/g,Pe=/>/g,z=RegExp(`>|${Ft}(?:([^\\s"'>=/]+)(${Ft}*=${Ft}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Me=/'/g,Le=/"/g,Oe=/^(?:script|style|textarea|title)$/i,Wt=r=>(i,...t)=>({_$litType$:r,strings:i,values:t}),d=Wt(1),Ie=Wt(2),Ms=Wt(3),T=Symbol.for("lit-noChange"),h=Symbol.for("lit-nothing"),ze=new WeakMap,H=O.createTreeWalker(O,129);function Ne(r,i){if(!qt(r)||!r.hasOwnProperty("raw"))throw Error("invalid template strings array");return Te!==void 0?Te.createHTML(i):i}var Ue=(r,i)=>{let t=r.length-1,e=[],s,n=i===2?"<svg>":i===3?"<math>":"",a=X;for(let o=0;o<t;o++){let l=r[o],c,p,u=-1,f=0;for(;f<l.length&&(a.lastIndex=f,p=a.exec(l),p!==null);)f=a.lastIndex,a===X?p[1]==="!--"?a=Re:p[1]!==void 0?a=Pe:p[2]!==void 0?(Oe.test(p[2])&&(s=RegExp("</"+p[2],"g")),a=z):p[3]!==void 0&&(a=z):a===z?p[0]===">"?(a=s??X,u=-1):p[1]===void 0?u=-2:(u=a.lastIndex-p[2].length,c=p[1],a=p[3]===void 0?z:p[3]==='"'?Le:Me):a===Le||a===Me?a=z:a===Re||a===Pe?a=X:(a=z,s=void 0);let m=a===z&&r[o+1].startsWith("/>")?" ":"";n+=a===X?l+Di:u>=0?(e.push(c),l.slice(0,u)+Vt+l.slice(u)+A+m):l+A+(u===-2?o:m)}return[Ne(r,n+(r[t]||"<?>")+(i===2?"</svg>":i===3?"</math>":"")),e]},tt=class r{constructor({strings:i,_$litType$:t},e){let s;this.parts=[];let n=0,a=0,o=i.length-1,l=this.parts,[c,p]=Ue(i,t);if(this.el=r.createElement(c,e),H.currentNode=this.el.content,t===2||t===3){let u=this.el.content.firstChild;u.replaceWith(...u.childNodes)}for(;(s=H.nextNode())!==null&&l.length<o;){if(s.nodeType===1){if(s.hasAttributes())for(let u of s.getAttributeNames())if(u.endsWith(Vt)){let f=p[a++],m=s.getAttribute(u).split(A),g=/([.?@])?(.*)/.exec(f);l.push({type:1,index:n,name:g[2],strings:m,ctor:g[1]==="."?ft:g[1]==="?"?gt:g[1]==="@"?vt:N}),s.removeAttribute(u)}else u.startsWith(A)&&(l.push({type:6,index:n}),s.removeAttribute(u));if(Oe.test(s.tagName)){let u=s.textContent.split(A),f=u.length-1;if(f>0){s.textContent=ut?ut.emptyScript:"";for(let m=0;m<f;m++)s.append(u[m],J()),H.nextNode(),l.push({type:2,index:++n});s.append(u[f],J())}}}else if(s.nodeType===8)if(s.data===Bt)l.push({type:2,index:n});else{let u=-1;for(;(u=s.data.indexOf(A,u+1))!==-1;)l.push({type:7,index:n}),u+=A.length-1}n++}}static createElement(i,t){let e=O.createElement("template");return e.innerHTML=i,e}};function I(r,i,t=r,e){if(i===T)return i;let s=e!==void 0?t._$Co?.[e]:t._$Cl,n=Q(i)?void 0:i._$litDirective$;return s?.constructor!==n&&(s?._$AO?.(!1),n===void 0?s=void 0:(s=new n(r),s._$AT(r,t,e)),e!==void 0?(t._$Co??=[])[e]=s:t._$Cl=s),s!==void 0&&(i=I(r,s._$AS(r,i.values),s,e)),i}var mt=class{constructor(i,t){this._$AV=[],this._$AN=void 0,this._$AD=i,this._$AM=t}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(i){let{el:{content:t},parts:e}=this._$AD,s=(i?.creationScope??O).importNode(t,!0);H.currentNode=s;let n=H.nextNode(),a=0,o=0,l=e[0];for(;l!==void 0;){if(a===l.index){let c;l.type===2?c=new B(n,n.nextSibling,this,i):l.type===1?c=new l.ctor(n,l.name,l.strings,this,i):l.type===6&&(c=new bt(n,this,i)),this._$AV.push(c),l=e[++o]}a!==l?.index&&(n=H.nextNode(),a++)}return H.currentNode=O,s}p(i){let t=0;for(let e of this._$AV)e!==void 0&&(e.strings!==void 0?(e._$AI(i,e,t),t+=e.strings.length-2):e._$AI(i[t])),t++}},B=class r{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(i,t,e,s){this.type=2,this._$AH=h,this._$AN=void 0,this._$AA=i,this._$AB=t,this._$AM=e,this.options=s,this._$Cv=s?.isConnected??!0}get parentNode(){let i=this._$AA.parentNode,t=this._$AM;return t!==void 0&&i?.nodeType===11&&(i=t.parentNode),i}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(i,t=this){i=I(this,i,t),Q(i)?i===h||i==null||i===""?(this._$AH!==h&&this._$AR(),this._$AH=h):i!==this._$AH&&i!==T&&this._(i):i._$litType$!==void 0?this.$(i):i.nodeType!==void 0?this.T(i):He(i)?this.k(i):this._(i)}O(i){return this._$AA.parentNode.insertBefore(i,this._$AB)}T(i){this._$AH!==i&&(this._$AR(),this._$AH=this.O(i))}_(i){this._$AH!==h&&Q(this._$AH)?this._$AA.nextSibling.data=i:this.T(O.createTextNode(i)),this._$AH=i}$(i){let{values:t,_$litType$:e}=i,s=typeof e=="number"?this._$AC(i):(e.el===void 0&&(e.el=tt.createElement(Ne(e.h,e.h[0]),this.options)),e);if(this._$AH?._$AD===s)this._$AH.p(t);else{let n=new mt(s,this),a=n.u(this.options);n.p(t),this.T(a),this._$AH=n}}_$AC(i){let t=ze.get(i.strings);return t===void 0&&ze.set(i.strings,t=new tt(i)),t}k(i){qt(this._$AH)||(this._$AH=[],this._$AR());let t=this._$AH,e,s=0;for(let n of i)s===t.length?t.push(e=new r(this.O(J()),this.O(J()),this,this.options)):e=t[s],e._$AI(n),s++;s<t.length&&(this._$AR(e&&e._$AB.nextSibling,s),t.length=s)}_$AR(i=this._$AA.nextSibling,t){for(this._$AP?.(!1,!0,t);i!==this._$AB;){let e=Ae(i).nextSibling;Ae(i).remove(),i=e}}setConnected(i){this._$AM===void 0&&(this._$Cv=i,this._$AP?.(i))}},N=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(i,t,e,s,n){this.type=1,this._$AH=h,this._$AN=void 0,this.element=i,this.name=t,this._$AM=s,this.options=n,e.length>2||e[0]!==""||e[1]!==""?(this._$AH=Array(e.length-1).fill(new String),this.strings=e):this._$AH=h}_$AI(i,t=this,e,s){let n=this.strings,a=!1;if(n===void 0)i=I(this,i,t,0),a=!Q(i)||i!==this._$AH&&i!==T,a&&(this._$AH=i);else{let o=i,l,c;for(i=n[0],l=0;l<n.length-1;l++)c=I(this,o[e+l],t,l),c===T&&(c=this._$AH[l]),a||=!Q(c)||c!==this._$AH[l],c===h?i=h:i!==h&&(i+=(c??"")+n[l+1]),this._$AH[l]=c}a&&!s&&this.j(i)}j(i){i===h?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,i??"")}},ft=class extends N{constructor(){super(...arguments),this.type=3}j(i){this.element[this.name]=i===h?void 0:i}},gt=class extends N{constructor(){super(...arguments),this.type=4}j(i){this.element.toggleAttribute(this.name,!!i&&i!==h)}},vt=class extends N{constructor(i,t,e,s,n){super(i,t,e,s,n),this.type=5}_$AI(i,t=this){if((i=I(this,i,t,0)??h)===T)return;let e=this._$AH,s=i===h&&e!==h||i.capture!==e.capture||i.once!==e.once||i.passive!==e.passive,n=i!==h&&(e===h||s);s&&this.element.removeEventListener(this.name,this,e),n&&this.element.addEventListener(this.name,this,i),this._$AH=i}handleEvent(i){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,i):this._$AH.handleEvent(i)}},bt=class{constructor(i,t,e){this.element=i,this.type=6,this._$AN=void 0,this._$AM=t,this.options=e}get _$AU(){return this._$AM._$AU}_$AI(i){I(this,i)}},De={M:Vt,P:A,A:Bt,C:1,L:Ue,R:mt,D:He,V:I,I:B,H:N,N:gt,U:vt,B:ft,F:bt},Fi=jt.litHtmlPolyfillSupport;Fi?.(tt,B),(jt.litHtmlVersions??=[]).push("3.3.3");var Fe=(r,i,t)=>{let e=t?.renderBefore??i,s=e._$litPart$;if(s===void 0){let n=t?.renderBefore??null;e._$litPart$=s=new B(i.insertBefore(J(),n),n,void 0,t??{})}return s._$AI(r),s};var Kt=globalThis,v=class extends S{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let i=super.createRenderRoot();return this.renderOptions.renderBefore??=i.firstChild,i}update(i){let t=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(i),this._$Do=Fe(t,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return T}};v._$litElement$=!0,v.finalized=!0,Kt.litElementHydrateSupport?.({LitElement:v});var ji=Kt.litElementPolyfillSupport;ji?.({LitElement:v});(Kt.litElementVersions??=[]).push("4.2.2");var je=0,Ve=Date.now()-performance.now();function y(){return Date.now()+je}function Be(r,i){if(r!==void 0){let t=r-(i+Date.now())/2;je=Math.abs(t)<6e4?0:t,Ve=Date.now()-performance.now()}}function qe(){return Math.abs(Date.now()-performance.now()-Ve)>6e4}var Vi=500,Zt=6*3600,Ke=24*3600;async function Ze(r){let i=Date.now(),t=await r.callWS({type:"magicpi_nvr/cameras"});return Be(t.now,i),t.cameras}async function*Ye(r,i,t){let e=null;do{let s=await r.callWS({type:"magicpi_nvr/events",camera_ids:i,start:Math.floor(t.start),...t.end<1/0&&{end:Math.ceil(t.end)},nothing_seen:"show",limit:Vi,...e&&{cursor:e}});yield s.events,e=s.cursor}while(e)}async function Ge(r,i,t){return(await r.callWS({type:"magicpi_nvr/events",camera_ids:i,limit:t})).events}async function et(r,i,t){let{path:e}=await r.callWS({type:"auth/sign_path",path:i,expires:t});return r.hassUrl(e)}function yt(r,i,t){return r.callService("magicpi_nvr",i,t,void 0,!1)}async function _t(r,i){try{return(await r.callWS({type:"magicpi_nvr/zones/get",camera_id:i})).zones}catch(t){if(t.code==="unknown_command")return null;throw t}}function Xe(r,i,t){return r.callWS({type:"magicpi_nvr/zones/set",camera_id:i,zones:t})}var We=3;async function U(r,i,t){let e=typeof t=="object"&&t;if(t===We||e&&e.error?.code===We)return i.get("connection_lost");if(e&&e.translation_key&&e.translation_domain){let{translation_key:s,translation_domain:n}=e,o=(await r.loadBackendTranslation("exceptions",n).catch(()=>null))?.(`component.${n}.exceptions.${s}.message`,e.translation_placeholders);if(o)return o}return e&&e.message||String(t)}var wt=class{constructor(){this.urls=new Map}get(i,t){let e=this.urls.get(t);if(e)return this.urls.delete(t),this.urls.set(t,e),e;let s=this.load(i,t);if(this.urls.set(t,s),this.urls.size>200){let[n,a]=this.urls.entries().next().value;this.urls.delete(n),a.then(o=>o&&URL.revokeObjectURL(o))}return s}clear(){for(let i of this.urls.values())i.then(t=>t&&URL.revokeObjectURL(t));this.urls.clear()}async load(i,t){try{let e=await i.fetchWithAuth(t);if(e.ok)return URL.createObjectURL(await e.blob())}catch{}return this.urls.delete(t),null}},$t=class{constructor(i){this.changed=i;this.known=new Map}get(i,t,e){let s=this.known.get(t.id);return t.picture&&s?.version!==e&&(this.known.set(t.id,{version:e,picture:s?.picture??null}),this.load(i,t,e)),this.known.get(t.id)?.picture??null}clear(){for(let{picture:i}of this.known.values())i&&URL.revokeObjectURL(i.url);this.known.clear()}async load(i,t,e){let s=()=>this.known.get(t.id)?.version===e;try{let n=await i.fetchWithAuth(t.picture);if(!s())return;if(n.ok){let a=await n.blob(),o=this.known.get(t.id);if(!o||!s())return;let l=Date.parse(n.headers.get("Last-Modified")??""),c=o.picture;o.picture={url:URL.createObjectURL(a),at:l||t.picture_at||null},this.changed(),c&&window.setTimeout(()=>URL.revokeObjectURL(c.url),5e3);return}}catch{}s()&&(this.known.get(t.id).version="")}};var Gt=class{constructor(i,t){this.localize=i;this.language=t}get(i,t){return this.localize(`component.magicpi_nvr.common.card_${i}`,t)||i}count(i,t,e){return this.get(`${i}_${e.plural(t)}`,{count:t})}label(i){return this.localize(`component.magicpi_nvr.common.label_${i}`)||i}reason(i){return this.localize(`component.magicpi_nvr.common.reason_${i}`)||i}},Yt=new Map;function D(r){let i=Yt.get(r.language);if(!i){let{language:t}=r;i=r.loadBackendTranslation("common","magicpi_nvr").then(e=>new Gt(e,t)),Yt.set(t,i),i.catch(()=>Yt.delete(t))}return i}var Je={en:{timeline:"MagicPi timeline",timeline_about:"Your MagicPi cameras on a line: look, play, keep, share.",cameras:"MagicPi cameras",cameras_about:"Tiles, timeline, latest clips and problems of your MagicPi cameras.",camera:"MagicPi camera",camera_about:"The last picture of a camera, with its age, status, battery and clips of today.",form_title:"Title",form_entities:"Cameras (none = all)",form_entity:"Camera"},de:{timeline:"MagicPi-Zeitleiste",timeline_about:"Deine MagicPi-Kameras auf einer Linie: ansehen, abspielen, behalten, teilen.",cameras:"MagicPi-Kameras",cameras_about:"Kacheln, Zeitleiste, neueste Clips und Probleme deiner MagicPi-Kameras.",camera:"MagicPi-Kamera",camera_about:"Das letzte Bild einer Kamera, mit Alter, Status, Batterie und den Clips von heute.",form_title:"Titel",form_entities:"Kameras (keine = alle)",form_entity:"Kamera"},fr:{timeline:"Chronologie MagicPi",timeline_about:"Vos cam\xE9ras MagicPi sur une ligne : regarder, lire, garder, partager.",cameras:"Cam\xE9ras MagicPi",cameras_about:"Tuiles, chronologie, derniers clips et probl\xE8mes de vos cam\xE9ras MagicPi.",camera:"Cam\xE9ra MagicPi",camera_about:"La derni\xE8re image d'une cam\xE9ra, avec son \xE2ge, son \xE9tat, sa batterie et les clips du jour.",form_title:"Titre",form_entities:"Cam\xE9ras (aucune = toutes)",form_entity:"Cam\xE9ra"},es:{timeline:"Cronolog\xEDa de MagicPi",timeline_about:"Tus c\xE1maras MagicPi en una l\xEDnea: mirar, reproducir, guardar, compartir.",cameras:"C\xE1maras MagicPi",cameras_about:"Mosaicos, cronolog\xEDa, \xFAltimos clips y problemas de tus c\xE1maras MagicPi.",camera:"C\xE1mara MagicPi",camera_about:"La \xFAltima imagen de una c\xE1mara, con su antig\xFCedad, estado, bater\xEDa y clips de hoy.",form_title:"T\xEDtulo",form_entities:"C\xE1maras (ninguna = todas)",form_entity:"C\xE1mara"}};function _(r){return(Je[document.documentElement.lang.split("-")[0]]??Je.en)[r]}function Bi(r){return r.locale.time_zone==="server"?r.config.time_zone:Intl.DateTimeFormat().resolvedOptions().timeZone}function xt(r,i){return new Intl.DateTimeFormat("sv-SE",{timeZone:i,dateStyle:"short"}).format(r)}function st(r,i){return new Date(Date.parse(`${r}T12:00:00Z`)+i*864e5).toISOString().slice(0,10)}function Qt(r,i,t=1){return{start:it(r,0,i),end:it(st(r,t),0,i)}}function it(r,i,t){let e=Date.parse(`${r}T00:00:00Z`)+i,s=e-q(e,t);return e-q(s,t)}var Qe=new Map;function q(r,i){let t=Qe.get(i);t||(t=new Intl.DateTimeFormat("en-US",{timeZone:i,hourCycle:"h23",year:"numeric",month:"numeric",day:"numeric",hour:"numeric",minute:"numeric",second:"numeric"}),Qe.set(i,t));let e=t.formatToParts(r),s=a=>Number(e.find(o=>o.type===a).value);return Date.UTC(s("year"),s("month")-1,s("day"),s("hour"),s("minute"),s("second"))-Math.floor(r/1e3)*1e3}function ti(r){let i=/^(\d{1,2})(?:[:.h ]?(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?$/i.exec(r.trim());if(!i)return null;let[t,e]=[Number(i[1]),Number(i[2]??0)],s=i[3]?.toLowerCase(),n=s?t%12+(s==="p"?12:0):t;return n<24&&e<60?n*36e5+e*6e4:null}var qi=[1,2,5,10,15,30,60,120,180,240,360,720].map(r=>r*6e4);function ei(r,i,t){let e=r.end-r.start,s=qi.find(o=>e/o<=t)??Math.ceil(e/864e5/t)*864e5,n=[],a=Math.ceil((r.start+q(r.start,i))/s)*s;for(let o=a;;o+=s){let l=o-q(o-q(o,i),i);if(l>r.end)break;l>=r.start&&l+q(l,i)===o&&n.push(l)}return n}var Jt=class{constructor(i,t){this.locale=i;this.zone=t;this.formats=new Map;this.relativeFormat=new Intl.RelativeTimeFormat(i.language,{numeric:"auto",style:"short"}),this.plurals=new Intl.PluralRules(i.language)}plural(i){return this.plurals.select(i)==="one"?"one":"other"}time(i){return this.format("time",{hour:"numeric",minute:"2-digit",second:"2-digit"}).format(i)}clock(i){return this.format("clock",{hour:"numeric",minute:"2-digit"}).format(i)}date(i){let t={DMY:"dmy",MDY:"mdy",YMD:"ymd"}[this.locale.date_format??""];if(!t)return this.format("date",{dateStyle:"medium"}).format(i);let e=this.format("parts",{year:"numeric",month:"2-digit",day:"2-digit"}).formatToParts(i),s=o=>e.find(l=>l.type===o).value,n=e.find(o=>o.type==="literal")?.value??"/",a={d:s("day"),m:s("month"),y:s("year")};return[...t].map(o=>a[o]).join(n.trim()||n)}dateTime(i){return`${this.date(i)} ${this.time(i)}`}weekday(i){return this.format("weekday",{weekday:"short",day:"numeric"}).format(i)}relative(i,t){let e=(i-t)/1e3,s=Math.abs(e),[n,a]=s<60?["second",1]:s<3600?["minute",60]:s<86400?["hour",3600]:["day",86400];return this.relativeFormat.format(Math.trunc(e/a),n)}format(i,t){let e=this.formats.get(i);if(!e){let{time_format:s,language:n,date_format:a}=this.locale,o="hour"in t,l=o?s==="system":a==="system";e=new Intl.DateTimeFormat(l?void 0:n,{timeZone:this.zone,...o&&s==="12"&&{hour12:!0},...o&&s==="24"&&{hourCycle:"h23"},...t}),this.formats.set(i,e)}return e}},Xt=null;function k(r){let i=Bi(r),{language:t,time_format:e,date_format:s}=r.locale,n=[t,e,s,i].join();return Xt?.key!==n&&(Xt={key:n,formats:new Jt(r.locale,i)}),Xt.formats}var ii="magicpi_nvr_seen",si=1e3,Wi=2e3,Et=class{constructor(i){this.changed=i;this.version=0;this.stored={until:y()-864e5,ids:{}};this.known=!1}follow(i){return i.connection.subscribeMessage(({value:t})=>this.take(t),{type:"frontend/subscribe_user_data",key:ii},{resubscribe:!1})}take(i){let{until:t,ids:e}=this.stored,s=this.known?Math.max(t,i?.until??0):i?.until??t,n=Object.keys(i?.ids??{}).some(a=>!(a in e));this.known=!0,(s!==t||n)&&(this.keep(s,{...i?.ids,...e}),this.note())}keep(i,t){let e=Object.entries(t).sort(([,s],[,n])=>s-n);if(e.length>si){let s=e.slice(e.length-si);this.stored={until:Math.max(i,s[0][1]),ids:Object.fromEntries(s)}}else this.stored={until:i,ids:t}}has(i){return i.start<this.stored.until||i.id in this.stored.ids}add(i,t){let e=t.filter(n=>!this.has(n));if(!e.length)return;let s=Object.fromEntries(e.map(n=>[n.id,n.start]));this.keep(this.stored.until,{...this.stored.ids,...s}),this.note(),window.clearTimeout(this.timer),this.timer=window.setTimeout(()=>{this.timer=void 0,i.callWS({type:"frontend/set_user_data",key:ii,value:this.stored}).catch(()=>{})},Wi)}note(){this.version++,this.changed()}};var te=1e3,Ki=3e4,ni=1e4,Zi=5e3,Yi=3e4,Gi=["status","clips_today","pending_changes"],ri=["none","unknown","unavailable"],C=class r extends EventTarget{constructor(t){super();this.hass=t;this.cameras=null;this.texts=null;this.live=!1;this.thumbnails=new wt;this.pictures=new $t(()=>this.tell("changed"));this.seen=new Et(()=>this.tell("changed"));this.users=0;this.open=!1;this.lostAt=-1/0;this.attempt=0;this.delay=te;this.subscriptions=[];this.entityIds=new Map;this.cameraEntities="";this.visible=()=>{document.visibilityState==="visible"&&this.tell("tick")};this.reconnected=()=>{this.delay=te,this.subscriptions=[],this.connect()};this.lost=()=>{this.live=!1,this.lostAt=performance.now(),this.tell("changed")}}static{this.feeds=new WeakMap}static of(t){let e=r.feeds.get(t.connection);return e||(e=new r(t),r.feeds.set(t.connection,e)),e}use(){window.clearTimeout(this.closing),this.users++,this.open||(this.open=!0,this.hass.connection.addEventListener("ready",this.reconnected),this.hass.connection.addEventListener("disconnected",this.lost),document.addEventListener("visibilitychange",this.visible),this.tick=window.setInterval(()=>this.everySoOften(),ni),this.connect());let t=!1;return()=>{!t&&(t=!0,--this.users===0)&&(this.closing=window.setTimeout(()=>this.close(),Zi))}}update(t){let e=this.hass;if(t!==e){if(this.hass=t,t.language!==e.language&&this.loadTexts(),t.entities!==this.entitiesOf){let s=this.cameraEntities,n=!this.entitiesOf;this.findEntities(),n?this.tell("changed"):this.live&&s!==this.cameraEntities&&this.loadCameras().catch(()=>{})}(e.locale!==t.locale||e.themes!==t.themes||e.user!==t.user||[...this.entityIds.values()].some(s=>Object.values(s).some(n=>this.differs(e.states[n],t.states[n]))))&&this.tell("changed")}}camera(t){return this.cameras?.find(e=>e.id===t)}info(t){let e=this.entityIds.get(t.id)??{},s=o=>e[o]?this.hass.states[e[o]]:void 0,n=Date.parse(String(s("status")?.attributes.next_check_in??"")),a=s("pending_changes")?.state??ri[0];return{streaming:["streaming","recording"].includes(s("camera")?.state??""),status:s("status"),battery:s("battery"),nextCheckIn:Number.isNaN(n)?null:n,clipsToday:s("clips_today"),pending:ri.includes(a)?null:a}}picture(t){if(!this.entitiesOf)return null;let e=this.entityIds.get(t.id)??{},s=["camera","status"].map(n=>{let a=e[n]?this.hass.states[e[n]]:void 0;return a?`${a.state} ${a.last_changed}`:""});return this.info(t).streaming&&s.push(`${Math.floor(y()/ni)}`),this.pictures.get(this.hass,t,`${t.picture} ${s.join()}`)}may(t,e){return t?.rights?.includes(e)??!!this.hass.user?.is_admin}tell(t,e){this.dispatchEvent(new CustomEvent(t,{detail:e}))}differs(t,e){return t?.state!==e?.state||t?.attributes.next_check_in!==e?.attributes.next_check_in}findEntities(){this.entitiesOf=this.hass.entities,this.entityIds.clear();let t=this.hass.entities??{},e=new Map,s=[];for(let n of Object.values(t))if(n.platform==="magicpi_nvr"&&n.device_id&&(e.set(n.device_id,[...e.get(n.device_id)??[],n.entity_id]),n.entity_id.startsWith("camera."))){let a=this.hass.states[n.entity_id]?.attributes.friendly_name;s.push(`${n.entity_id} ${a}`)}this.cameraEntities=s.sort().join();for(let n of this.cameras??[]){let a={};if(n.entity_id){a.camera=n.entity_id;let o=t[n.entity_id]?.device_id;for(let l of o&&e.get(o)||[]){let c=t[l].translation_key;Gi.some(p=>p===c)?a[c]=l:l.startsWith("sensor.")&&this.hass.states[l]?.attributes.device_class==="battery"&&(a.battery=l)}}this.entityIds.set(n.id,a)}}async loadTexts(){this.texts=await D(this.hass),this.tell("changed")}async connect(){let t=++this.attempt;window.clearTimeout(this.retry),this.drop();try{this.texts?.language!==this.hass.language&&await this.loadTexts();let e=await this.hass.connection.subscribeMessage(s=>{t===this.attempt&&this.noticed(s)},{type:"magicpi_nvr/subscribe"},{resubscribe:!1});if(!this.keeps(t,e)||(await this.loadCameras(),t!==this.attempt))return;this.live=!0,this.delay=te,this.tell("ready"),this.keeps(t,await this.seen.follow(this.hass).catch(()=>null))}catch{t===this.attempt&&this.open&&(this.lost(),this.retry=window.setTimeout(()=>{this.connect()},this.delay),this.delay=Math.min(Ki,this.delay*2))}}async loadCameras(){let t=await Ze(this.hass);t.sort((e,s)=>e.name.localeCompare(s.name)),this.cameras=t,this.findEntities(),this.tell("changed")}noticed(t){this.tell("notice",t),this.camera(t.event.camera)?.picture||this.loadCameras().catch(()=>{})}keeps(t,e){let s=t===this.attempt;return e&&s?this.subscriptions.push(e):e?.().catch(()=>{}),s}drop(){for(let t of this.subscriptions.splice(0))t().catch(()=>{})}close(){this.open=!1,this.attempt++,this.live=!1,window.clearTimeout(this.retry),window.clearInterval(this.tick),this.hass.connection.removeEventListener("ready",this.reconnected),this.hass.connection.removeEventListener("disconnected",this.lost),document.removeEventListener("visibilitychange",this.visible),this.drop(),this.thumbnails.clear(),this.pictures.clear()}everySoOften(){document.visibilityState==="visible"&&(this.live&&qe()&&this.loadCameras().catch(()=>{}),this.tell("tick"),this.cameras?.some(t=>this.info(t).streaming)&&this.tell("changed"))}get wasLost(){return!this.live||performance.now()-this.lostAt<Yi}};var ee=class extends v{constructor(){super(...arguments);this.release=null;this.changed=()=>this.requestUpdate()}static{this.properties={_config:{state:!0}}}static getConfigForm(){return{schema:[{name:"entity",required:!0,selector:{entity:{filter:{domain:"camera",integration:"magicpi_nvr"}}}}],computeLabel:()=>_("form_entity")}}static getStubConfig(t){return{entity:Object.values(t.entities??{}).find(e=>e.platform==="magicpi_nvr"&&e.entity_id.startsWith("camera."))?.entity_id}}setConfig(t){if(!t.entity?.startsWith("camera."))throw new Error("entity must be a camera");this._config=t}set hass(t){let e=!this._hass;this._hass=t,this.feed??=C.of(t),this.feed.update(t),e&&(this.attach(),this.requestUpdate())}getCardSize(){return 4}getGridOptions(){return{columns:6,min_columns:4}}connectedCallback(){super.connectedCallback(),this.attach()}disconnectedCallback(){super.disconnectedCallback(),this.feed?.removeEventListener("changed",this.changed),this.feed?.removeEventListener("tick",this.changed),this.release?.(),this.release=null}attach(){this.feed&&!this.release&&this.isConnected&&(this.feed.addEventListener("changed",this.changed),this.feed.addEventListener("tick",this.changed),this.release=this.feed.use())}open(){this.dispatchEvent(new CustomEvent("hass-more-info",{detail:{entityId:this._config.entity},bubbles:!0,composed:!0}))}render(){let{feed:t,_hass:e}=this,s=t?.cameras?.find(g=>g.entity_id===this._config?.entity);if(!t?.texts||!e||!s){let g=t?.cameras&&t.texts?.get("no_camera");return d`<ha-card>
        <div class="picture">${g?d`<span class="none">${g}</span>`:h}</div>
      </ha-card>`}let{texts:n}=t,a=k(e),o=t.info(s),l=t.picture(s),c=y(),p=l?.at?a.relative(l.at,c):"",u=o.status?.state??s.status,f=Number(o.battery?.state),m=[o.battery&&!Number.isNaN(f)?d`<span class=${f<=15?"bad":""}>
            <ha-icon icon=${f<=15?"mdi:battery-alert-variant-outline":"mdi:battery"}></ha-icon>
            ${e.formatEntityState(o.battery)}
          </span>`:h,o.clipsToday&&!Number.isNaN(Number(o.clipsToday.state))?d`<span>
            <ha-icon icon="mdi:filmstrip"></ha-icon>
            ${n.count("clips_today",Number(o.clipsToday.state),a)}
          </span>`:h,o.pending?d`<span>
            <ha-icon icon="mdi:email-arrow-right-outline"></ha-icon>
            ${o.pending}
          </span>`:h,o.nextCheckIn&&o.nextCheckIn>c&&!o.streaming&&!o.pending?d`<span>
            <ha-icon icon="mdi:clock-outline"></ha-icon>
            ${n.get("next_check_in",{time:a.clock(o.nextCheckIn)})}
          </span>`:h];return d`<ha-card>
      <button @click=${this.open}>
        <div class="picture">
          ${l?d`<img src=${l.url} alt=${n.get("live_of",{camera:s.name})} />`:d`<span class="none">${n.get("no_picture")}</span>`}
          <span class="caption">
            <span class="name">${s.name}</span>
            ${o.status?d`<span class=${u==="asleep"&&p?"calm":""}
                    >${"\xA0\xB7 "}${e.formatEntityState(o.status)}</span
                  >`:h}
            ${p?d`<span>${"\xA0\xB7 "}${p}</span>`:h}
            ${o.streaming?d`<i class="dot"></i>`:h}
          </span>
        </div>
        <div class="facts ${["late","offline"].includes(u)?"bad":""}">${m}</div>
      </button>
    </ha-card>`}static{this.styles=b`
    ha-card {
      overflow: hidden;
      height: 100%;
    }
    button {
      display: block;
      width: 100%;
      height: 100%;
      padding: 0;
      border: none;
      background: none;
      color: var(--primary-text-color, #111);
      font: inherit;
      text-align: start;
      cursor: pointer;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
      outline-offset: -2px;
    }
    .picture {
      container-type: inline-size;
      position: relative;
      aspect-ratio: 4 / 3;
      background: #000;
    }
    img {
      width: 100%;
      height: 100%;
      object-fit: cover;
      display: block;
    }
    .none,
    .caption {
      position: absolute;
      inset-inline-start: 8px;
      max-width: calc(100% - 32px);
      bottom: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
    }
    .caption {
      display: flex;
      align-items: center;
      max-width: calc(100% - 16px);
      box-sizing: border-box;
      white-space: nowrap;
    }
    .caption .name {
      overflow: hidden;
      text-overflow: ellipsis;
    }
    .caption span:not(.name) {
      flex: none;
    }
    .none {
      bottom: 50%;
    }
    @container (max-width: 220px) {
      /* The name and the age are what a narrow tile has room for; the line below says that it sleeps. */
      .caption .calm {
        display: none;
      }
    }
    .dot {
      flex: none;
      margin-inline-start: 6px;
      width: 8px;
      height: 8px;
      border-radius: 4px;
      background: #f44336;
    }
    .facts {
      display: flex;
      flex-wrap: wrap;
      gap: 4px 12px;
      padding: 8px 12px;
      min-height: 20px;
      font-size: 13px;
      color: var(--secondary-text-color, #555);
      --mdc-icon-size: 16px;
    }
    .bad {
      font-weight: 500;
      color: var(--primary-text-color, #111);
    }
    .bad ha-icon {
      color: var(--error-color, #c62828);
    }
  `}};customElements.define("magicpi-camera-card",ee);var ai={ATTRIBUTE:1,CHILD:2,PROPERTY:3,BOOLEAN_ATTRIBUTE:4,EVENT:5,ELEMENT:6},oi=r=>(...i)=>({_$litDirective$:r,values:i}),kt=class{constructor(i){}get _$AU(){return this._$AM._$AU}_$AT(i,t,e){this._$Ct=i,this._$AM=t,this._$Ci=e}_$AS(i,t){return this.update(i,t)}update(i,t){return this.render(...t)}};var{I:Xi}=De,li=r=>r;var ci=()=>document.createComment(""),W=(r,i,t)=>{let e=r._$AA.parentNode,s=i===void 0?r._$AB:i._$AA;if(t===void 0){let n=e.insertBefore(ci(),s),a=e.insertBefore(ci(),s);t=new Xi(n,a,r,r.options)}else{let n=t._$AB.nextSibling,a=t._$AM,o=a!==r;if(o){let l;t._$AQ?.(r),t._$AM=r,t._$AP!==void 0&&(l=r._$AU)!==a._$AU&&t._$AP(l)}if(n!==s||o){let l=t._$AA;for(;l!==n;){let c=li(l).nextSibling;li(e).insertBefore(l,s),l=c}}}return t},M=(r,i,t=r)=>(r._$AI(i,t),r),Ji={},di=(r,i=Ji)=>r._$AH=i,hi=r=>r._$AH,Ct=r=>{r._$AR(),r._$AA.remove()};var pi=(r,i,t)=>{let e=new Map;for(let s=i;s<=t;s++)e.set(r[s],s);return e},F=oi(class extends kt{constructor(r){if(super(r),r.type!==ai.CHILD)throw Error("repeat() can only be used in text expressions")}dt(r,i,t){let e;t===void 0?t=i:i!==void 0&&(e=i);let s=[],n=[],a=0;for(let o of r)s[a]=e?e(o,a):a,n[a]=t(o,a),a++;return{values:n,keys:s}}render(r,i,t){return this.dt(r,i,t).values}update(r,[i,t,e]){let s=hi(r),{values:n,keys:a}=this.dt(i,t,e);if(!Array.isArray(s))return this.ut=a,n;let o=this.ut??=[],l=[],c,p,u=0,f=s.length-1,m=0,g=n.length-1;for(;u<=f&&m<=g;)if(s[u]===null)u++;else if(s[f]===null)f--;else if(o[u]===a[m])l[m]=M(s[u],n[m]),u++,m++;else if(o[f]===a[g])l[g]=M(s[f],n[g]),f--,g--;else if(o[u]===a[g])l[g]=M(s[u],n[g]),W(r,l[g+1],s[u]),u++,g--;else if(o[f]===a[m])l[m]=M(s[f],n[m]),W(r,s[u],s[f]),f--,m++;else if(c===void 0&&(c=pi(a,m,g),p=pi(o,u,f)),c.has(o[u]))if(c.has(o[f])){let x=p.get(a[m]),$=x!==void 0?s[x]:null;if($===null){let w=W(r,s[u]);M(w,n[m]),l[m]=w}else l[m]=M($,n[m]),W(r,s[u],$),s[x]=null;m++}else Ct(s[f]),f--;else Ct(s[u]),u++;for(;m<=g;){let x=W(r,l[g+1]);M(x,n[m]),l[m++]=x}for(;u<=f;){let x=s[u++];x!==null&&Ct(x)}return this.ut=a,di(r,l),T}});function Qi(r){return Math.max(1,Math.round((r.end-r.start)/1e3))}function nt(r){let i=(r.detections??[]).filter(t=>!t.still).map(({label:t})=>t);return[...new Set([...r.labels,...i])]}function rt(r,i){let t=nt(r).map(e=>i.label(e));return[...t.length?t:[i.reason(r.reason)],`${Qi(r)} s`,r.state==="recording"&&i.get("recording"),r.protected&&i.get("protected"),r.remote&&i.get("remote"),r.verdict==="nothing_seen"&&i.get("nothing_seen"),...r.zones??[]].filter(e=>!!e)}function ie(r,i,t){return[t.time(r.start),...rt(r,i)].join(" \xB7 ")}var at="nothing_seen",j="continuous",ot="check_in",ui={cameras:[],labels:[],zones:[],reasons:[],protected:!1,unseen:!1,nothingSeen:!1,continuous:!1};function lt(r,i){return r.includes(i)?r.filter(t=>t!==i):[...r,i]}function ts(r,i,t){return r.reason!==ot&&(r.reason!==j||i.continuous)&&(r.verdict!==at||i.nothingSeen)&&(!i.labels.length||nt(r).some(e=>i.labels.includes(e)))&&(!i.zones.length||(r.zones??[]).some(e=>i.zones.includes(e)))&&(!i.reasons.length||i.reasons.includes(r.reason))&&(!i.protected||r.protected)&&(!i.unseen||!t(r))}var es={events:[],bands:[]},St=class{constructor(){this.known=new Map}get(i,t,e,s){if(!t||e.cameras.length&&!e.cameras.includes(i))return es;let n=JSON.stringify([e,e.unseen&&s.version]),a=this.known.get(i);if(a?.list===t&&a.key===n)return a.shown;let o={events:t.filter(l=>ts(l,e,c=>s.has(c))),bands:e.continuous?[]:t.filter(l=>l.reason===j)};return this.known.set(i,{list:t,key:n,shown:o}),o}};var mi=2e3,is=6e4,ss=31*864e5;function E(r,i){let t=0,e=r.length;for(;t<e;){let s=t+e>>1;r[s].start<=i?t=s+1:e=s}return t-1}function Tt(r,i){let t=new Set(i.map(n=>n.id)),e=r.filter(n=>!t.has(n.id)),s=[...i].sort((n,a)=>n.start-a.start);return!e.length||s.length&&s[0].start>=e[e.length-1].start?[...e,...s]:s.length&&s[s.length-1].start<e[0].start?[...s,...e]:[...e,...s].sort((n,a)=>n.start-a.start)}var At=class{constructor(i,t,e){this.feed=i;this.changed=t;this.complete=e;this.lists=new Map;this.loading=!1;this.error=null;this.loads=0;this.cameras=[];this.range=null;this.wanted=null;this.run=0;this.stale=!1;this.touched=new Map;this.delay=mi}get count(){return[...this.lists.values()].reduce((i,t)=>i+t.length,0)}setCameras(i){i.join()!==this.cameras.join()&&(this.cameras=i,this.lists=new Map(i.map(t=>[t,this.lists.get(t)??[]])),this.refresh())}want(i){this.wanted=i,this.loading||(this.missing()?this.load():(this.changed(),this.complete()))}refresh(){this.stale=!0,this.run++,window.clearTimeout(this.retry),this.load()}stop(){this.run++,this.loading=!1,window.clearTimeout(this.retry)}trim(i){if(!(!this.range||this.range.start>=i||this.loading)){this.range={...this.range,start:i};for(let[t,e]of this.lists){let s=e.findIndex(n=>n.end>=i);s&&this.lists.set(t,s<0?[]:e.slice(s))}}}noticed(i){let{event:t}=i,e=this.lists.get(t.camera);if(!e)return;let s=i.type==="event_deleted"?null:i.event;this.touched.set(t.id,s);let n=e.filter(a=>a.id!==t.id);if(s&&this.range&&s.end>=this.range.start&&s.start<=this.range.end)n.splice(E(n,s.start)+1,0,s);else if(n.length===e.length)return;this.lists.set(t.camera,n),this.lists=new Map(this.lists),this.changed()}find(i){for(let t of this.lists.values()){let e=t.find(s=>s.id===i);if(e)return e}}covers(i){let{range:t}=this;return t!==null&&this.lists.has(i.camera)&&i.start<=t.end&&i.end>=t.start}missing(){let{range:i,wanted:t}=this;if(!t)return null;if(!i||this.stale)return{span:t,replaces:!0};let e=Math.max(i.end,t.end)-Math.min(i.start,t.start);return t.start>i.end||t.end<i.start||i.end<1/0&&e>ss?{span:t,replaces:!0}:t.start<i.start?{span:{start:t.start,end:i.start},replaces:!1}:t.end>i.end?{span:{start:i.end,end:t.end},replaces:!1}:null}async load(){let i=this.missing();if(!i||!this.feed.live){this.loading&&!i&&(this.loading=!1,this.changed());return}let t=++this.run,{span:e,replaces:s}=i;this.loading=!0,this.touched.clear(),s&&!this.stale&&(this.lists=new Map(this.cameras.map(o=>[o,[]])),this.range=null),this.changed();let n=this.stale?new Map(this.cameras.map(o=>[o,[]])):null,a=e.end>=y();try{if(this.cameras.length)for await(let o of Ye(this.feed.hass,this.cameras,e)){if(t!==this.run)return;this.take(n??this.lists,o),n||(this.lists=new Map(this.lists),this.changed(),await new Promise(l=>window.setTimeout(l)))}}catch(o){let l=await U(this.feed.hass,this.feed.texts,o);t===this.run&&(this.loading=!1,this.error=l,this.changed(),this.retry=window.setTimeout(()=>{this.load()},this.delay),this.delay=Math.min(is,this.delay*2));return}if(t===this.run){if(n&&(this.lists=n,this.stale=!1),this.range={start:s?e.start:Math.min(e.start,this.range.start),end:a?1/0:Math.max(e.end,s?e.end:this.range.end)},this.error=null,this.delay=mi,this.loads++,this.missing()){await this.load();return}this.loading=!1,this.changed(),this.complete()}}take(i,t){let e=new Map;for(let s of t){let n=this.touched.has(s.id)?this.touched.get(s.id):s;if(n&&i.has(n.camera)){let a=e.get(n.camera)??[];a.push(n),e.set(n.camera,a)}}for(let[s,n]of e)i.set(s,Tt(i.get(s),n))}};var ns=5e3,fi=60,se=class extends v{constructor(){super(...arguments);this._events=null;this._urls=new Map;this.release=null;this.run=0;this.changed=()=>this.requestUpdate();this.load=async()=>{let t=++this.run;if(window.clearTimeout(this.timer),!!this.feed.live)try{let e=this.cameras.map(n=>n.id),s=e.length?await Ge(this._hass,e,fi):[];t===this.run&&(this._events=Tt([],s))}catch{t===this.run&&(this.timer=window.setTimeout(()=>{this.load()},ns))}};this.noticed=t=>{let e=t.detail;if(!this._events||!this.cameras.some(n=>n.id===e.event.camera))return;let s=this._events.filter(n=>n.id!==e.event.id);this._events=e.type==="event_deleted"?s:Tt(s,[e.event]).slice(-2*fi)}}static{this.properties={_config:{state:!0},_events:{state:!0},_urls:{state:!0}}}setConfig(t){this._config=t}set hass(t){let e=!this._hass;this._hass=t,this.feed??=C.of(t),this.feed.update(t),e&&(this.attach(),this.requestUpdate())}getCardSize(){return 4}getGridOptions(){return{columns:"full"}}connectedCallback(){super.connectedCallback(),this.attach()}disconnectedCallback(){super.disconnectedCallback(),window.clearTimeout(this.timer),this.run++,this.feed?.removeEventListener("changed",this.changed),this.feed?.removeEventListener("tick",this.changed),this.feed?.removeEventListener("ready",this.load),this.feed?.removeEventListener("notice",this.noticed),this.release?.(),this.release=null}attach(){this.feed&&!this.release&&this.isConnected&&(this.feed.addEventListener("changed",this.changed),this.feed.addEventListener("tick",this.changed),this.feed.addEventListener("ready",this.load),this.feed.addEventListener("notice",this.noticed),this.release=this.feed.use(),this.load())}get cameras(){let t=this._config?.entities;return(this.feed?.cameras??[]).filter(e=>!t?.length||e.entity_id&&t.includes(e.entity_id))}get shown(){return(this._events??[]).filter(t=>this.feed.camera(t.camera)!==void 0&&t.state!=="recording"&&t.verdict!==at&&t.reason!==j&&t.reason!==ot).slice(-(this._config?.limit??8)).reverse()}play(t){let e=new CustomEvent("magicpi-play",{detail:t,cancelable:!0});window.dispatchEvent(e)&&(history.pushState(null,"","/media-browser/browser/app%2Cmedia-source%3A%2F%2Fmagicpi_nvr"),window.dispatchEvent(new CustomEvent("location-changed",{detail:{replace:!1}})))}picture(t){return t.thumbnail&&!this._urls.has(t.id)&&(this._urls.set(t.id,null),this.feed.thumbnails.get(this._hass,t.thumbnail).then(e=>{this._urls=new Map(this._urls).set(t.id,e)})),this._urls.get(t.id)??null}render(){let{feed:t}=this;if(!t?.texts)return h;if(!this._events)return d`<ha-card .header=${this._config.title}><p>${t.texts.get("loading")}</p></ha-card>`;let e=k(this._hass),s=this.shown;for(let n of this._urls.keys())s.some(a=>a.id===n)||this._urls.delete(n);return d`<ha-card .header=${this._config.title}>
      ${s.length?h:d`<p>${t.texts.get("no_clips")}</p>`}
      <div class="clips" ?hidden=${!s.length}>
        ${F(s,n=>n.id,n=>{let a=this.picture(n);return d`<button class=${t.seen.has(n)?"seen":""} @click=${()=>this.play(n)}>
              ${a?d`<img src=${a} alt="" />`:d`<div class="blank"></div>`}
              <b>${e.relative(n.start,y())} · ${t.camera(n.camera)?.name??""}</b>
              <span>${[e.time(n.start),...rt(n,t.texts)].join(" \xB7 ")}</span>
            </button>`})}
      </div>
    </ha-card>`}static{this.styles=b`
    .clips {
      display: grid;
      grid-template-columns: repeat(auto-fill, minmax(140px, 1fr));
      gap: 12px;
      padding: 12px;
    }
    .clips[hidden] {
      display: none;
    }
    p {
      margin: 0;
      padding: 12px;
      color: var(--secondary-text-color, #555);
    }
    button {
      display: block;
      padding: 0;
      border: none;
      background: none;
      font: inherit;
      font-size: 13px;
      text-align: start;
      color: var(--primary-text-color, #111);
      cursor: pointer;
      overflow-wrap: anywhere;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
      outline-offset: 2px;
    }
    img,
    .blank {
      display: block;
      width: 100%;
      aspect-ratio: 4 / 3;
      object-fit: cover;
      border-radius: 8px;
      background: #000;
    }
    .seen img {
      opacity: 0.6;
    }
    b,
    span {
      display: block;
      font-weight: 500;
    }
    span {
      font-weight: 400;
      color: var(--secondary-text-color, #555);
    }
  `}};customElements.define("magicpi-clips-card",se);var rs=250,as=300,ne=class extends v{constructor(){super(...arguments);this.events=[];this.rate=1;this.at=0;this.paused=!1;this.last=0}static{this.properties={events:{attribute:!1},texts:{attribute:!1},formats:{attribute:!1},rate:{attribute:!1}}}static{this.styles=b`
    :host {
      position: absolute;
      inset: 0;
      display: grid;
      grid-template-columns: 1fr 1fr;
      grid-auto-rows: 1fr;
      gap: 2px;
    }
    .cell {
      position: relative;
      background: #000;
    }
    .cell.off {
      opacity: 0.35;
    }
    .name {
      position: absolute;
      inset-inline-start: 8px;
      top: 8px;
      padding: 1px 6px;
      border-radius: 8px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 12px;
    }
  `}connectedCallback(){super.connectedCallback(),this.last=performance.now(),this.timer=window.setInterval(()=>this.correct(),rs)}disconnectedCallback(){super.disconnectedCallback(),window.clearInterval(this.timer)}get players(){return[...this.renderRoot.querySelectorAll("magicpi-clip-player")]}play(){this.at>=Math.max(...this.events.map(t=>t.end))&&(this.at=Math.min(...this.events.map(t=>t.start))),this.paused=!1,this.correct()}pause(){this.paused=!0,this.correct()}seek(t){this.at=t;for(let e of this.players)e.seek(t);this.correct()}step(t){this.pause(),this.seek(this.at+t*100)}updated(t){t.has("events")&&(this.correct(),this.dispatchEvent(new CustomEvent("player-state")))}correct(){let t=performance.now(),e=Math.max(...this.events.map(s=>s.end));this.paused||(this.at=Math.min(e,this.at+(t-this.last)*this.rate)),this.last=t;for(let s of this.players){let{event:n}=s,a=this.at>=n.start&&this.at<n.end;s.parentElement.classList.toggle("off",!a),!a||this.paused?(!s.paused||s.playing)&&s.pause():(s.paused||Math.abs(s.at-this.at)>as*Math.max(1,this.rate))&&(s.seek(this.at),s.play())}this.dispatchEvent(new CustomEvent("player-time",{detail:{at:this.at}})),!this.paused&&this.at>=e&&(this.paused=!0,this.dispatchEvent(new CustomEvent("player-state")))}render(){return F(this.events,t=>t.id,t=>{let e=this.feed.camera(t.camera)?.name??"";return d`<div class="cell">
          <magicpi-clip-player
            .feed=${this.feed}
            .event=${t}
            .from=${this.at}
            .texts=${this.texts}
            .formats=${this.formats}
            .name=${e}
            .rate=${this.rate}
            @player-time=${s=>s.stopPropagation()}
          ></magicpi-clip-player>
          <span class="name">${e}</span>
        </div>`})}};customElements.define("magicpi-clip-group",ne);var re=class extends v{constructor(){super(...arguments);this.lists=[];this.base={start:0,end:1};this.view={start:0,end:1};this.theme="";this.observer=new ResizeObserver(()=>this.draw());this.grip=null}static{this.properties={lists:{attribute:!1},base:{attribute:!1},view:{attribute:!1},theme:{}}}static{this.styles=b`
    :host {
      display: block;
      position: relative;
      height: 20px;
      direction: ltr;
    }
    .track {
      position: absolute;
      inset: 0;
      border-radius: 4px;
      background: var(--secondary-background-color, #e8e8e8);
      cursor: grab;
      touch-action: none;
    }
    canvas {
      width: 100%;
      height: 100%;
      display: block;
    }
    .window {
      position: absolute;
      inset-block: 0;
      min-width: 6px;
      box-sizing: border-box;
      border: 2px solid var(--primary-text-color, #111);
      border-radius: 4px;
      pointer-events: none;
    }
  `}connectedCallback(){super.connectedCallback(),this.observer.observe(this)}disconnectedCallback(){super.disconnectedCallback(),this.observer.disconnect()}updated(t){["lists","base","theme"].some(e=>t.has(e))&&this.draw()}render(){let t=this.base.end-this.base.start,e=(this.view.start-this.base.start)/t*100,s=(this.view.end-this.view.start)/t*100;return d`<div
      class="track"
      aria-hidden="true"
      @pointerdown=${this.down}
      @pointermove=${this.move}
      @pointerup=${this.up}
      @pointercancel=${this.up}
    >
      <canvas></canvas>
      <div class="window" style="left:${e}%;width:${s}%"></div>
    </div>`}draw(){let t=this.renderRoot.querySelector("canvas"),{clientWidth:e,clientHeight:s}=this;if(!t||!e)return;t.width=e,t.height=s;let n=t.getContext("2d");n.fillStyle=getComputedStyle(this).getPropertyValue("--primary-color").trim()||"#03a9f4",n.globalAlpha=.6;let a=e/(this.base.end-this.base.start);for(let o of this.lists){let l=-1;for(let c of o){let p=Math.round((c.start-this.base.start)*a);p!==l&&p>=0&&p<=e&&(n.fillRect(p,5,Math.max(1,(c.end-c.start)*a),s-10),l=p)}}}at(t){let{left:e,width:s}=this.getBoundingClientRect();return this.base.start+(t.clientX-e)/s*(this.base.end-this.base.start)}down(t){t.currentTarget.setPointerCapture(t.pointerId);let e=this.at(t),s=e>=this.view.start&&e<=this.view.end;this.grip=s?e-this.view.start:(this.view.end-this.view.start)/2,this.move(t)}move(t){if(this.grip!==null){let e=this.at(t)-this.grip-this.view.start,s=this.base.end-this.view.end,n=this.base.start-this.view.start;this.dispatchEvent(new CustomEvent("row-pan",{detail:{by:Math.min(s,Math.max(n,e))},bubbles:!0,composed:!0}))}}up(){this.grip=null}};customElements.define("magicpi-minimap",re);var ae=2e3,os=3e4,gi=6e4,ls=.1,oe=class extends v{constructor(){super(...arguments);this.name="";this.rate=1;this.playing=!0;this.from=0;this._url=null;this._trouble=null;this._stamp=0;this.expires=0;this.request=0;this.renewed=!1;this.delay=ae;this.frames=[];this.target=null;this.again=()=>{(this._trouble||Date.now()>this.expires-gi)&&(this.renewed=!1,this.keepPlace(),this.open())}}static{this.properties={event:{attribute:!1},texts:{attribute:!1},formats:{attribute:!1},name:{},rate:{attribute:!1},_url:{state:!0},_trouble:{state:!0},_stamp:{state:!0}}}static{this.styles=b`
    :host {
      position: absolute;
      inset: 0;
      display: block;
    }
    video {
      width: 100%;
      height: 100%;
      object-fit: contain;
      display: block;
    }
    .stamp,
    .trouble {
      position: absolute;
      inset-inline-start: 8px;
      bottom: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
      font-variant-numeric: tabular-nums;
      pointer-events: none;
    }
    .trouble {
      bottom: 50%;
      inset-inline-end: 8px;
      text-align: center;
    }
  `}connectedCallback(){super.connectedCallback(),this.feed.addEventListener("ready",this.again)}disconnectedCallback(){super.disconnectedCallback(),this.feed.removeEventListener("ready",this.again),window.clearTimeout(this.timer),this.request++}willUpdate(t){let e=t.get("event");t.has("event")&&e?.id!==this.event.id&&(this.reset(),this.open())}updated(t){t.has("rate")&&this.video&&(this.video.playbackRate=this.rate)}reset(){window.clearTimeout(this.timer),this._url=null,this._trouble=null,this.renewed=!1,this.frames=[],this.delay=ae,this._stamp=Math.max(this.event.start,this.from),this.target=this.seconds(this._stamp)}get video(){return this.renderRoot.querySelector("video")}get paused(){return this.video?.paused??!0}get at(){return this._stamp}seconds(t){return Math.max(0,Math.min(t,this.event.end)-this.event.start)/1e3}seek(t){this.target=this.seconds(t),this.video&&this.video.readyState>0&&(this.video.currentTime=this.target,this.target=null)}play(){this.playing=!0,this._trouble||this._url&&Date.now()>this.expires-gi?this.again():this.video?.play().catch(()=>{})}pause(){this.playing=!1,this.video?.pause()}step(t){let e=this.video;if(!e)return;this.pause();let s=e.currentTime,n=t>0?this.frames.find(a=>a>s+.001):this.frames.findLast(a=>a<s-.005);if(t>0&&"requestVideoFrameCallback"in e){let a=e.playbackRate;e.playbackRate=.5,e.requestVideoFrameCallback((o,{mediaTime:l})=>{e.pause(),e.playbackRate=a,e.currentTime=l+.001}),e.play().catch(()=>{});return}e.currentTime=Math.max(0,n!==void 0?n+.001:s+t*ls)}keepPlace(){this.video?.currentTime&&(this.target=this.video.currentTime)}async open(){let t=++this.request;window.clearTimeout(this.timer);try{let e=await et(this.feed.hass,this.event.clip,Zt);t===this.request&&(this.expires=Date.now()+Zt*1e3,this._trouble=null,e===this._url&&this.video?.load(),this._url=e)}catch{t===this.request&&this.wait()}}wait(){this._trouble="waiting",this.timer=window.setTimeout(()=>{this.open()},this.delay),this.delay=Math.min(os,this.delay*2)}async failed(){let t=this.request;if(this.keepPlace(),!this.renewed){this.renewed=!0,await this.open();return}let e;try{e=(await this.feed.hass.fetchWithAuth(this.event.clip,{method:"HEAD"})).status}catch{e=0}t===this.request&&(e===404?this._trouble="gone":e===200||e===206?this._trouble="unplayable":this.wait())}loaded(){let{video:t}=this;t&&(this.renewed=!1,this.delay=ae,t.playbackRate=this.rate,this.target!==null&&(t.currentTime=this.target,this.target=null),this.playing&&t.play().catch(()=>{}),this.watch(t))}watch(t){if(!("requestVideoFrameCallback"in t))return;let e=(s,{mediaTime:n})=>{this.frames.includes(n)||(this.frames.push(n),this.frames.sort((a,o)=>a-o)),this.note(n),t===this.video&&t.requestVideoFrameCallback(e)};t.requestVideoFrameCallback(e)}note(t){this._stamp=this.event.start+t*1e3,this.dispatchEvent(new CustomEvent("player-time",{detail:{at:this._stamp}}))}tell(t){this.dispatchEvent(new CustomEvent(t))}render(){return d`
      ${this._url?d`<video
              src=${this._url}
              aria-label="${this.name}, ${this.formats.dateTime(this.event.start)}"
              preload="auto"
              muted
              playsinline
              @loadedmetadata=${this.loaded}
              @timeupdate=${t=>{let e=t.target;e.seeking||this.note(e.currentTime)}}
              @play=${()=>this.tell("player-state")}
              @pause=${()=>this.tell("player-state")}
              @ended=${()=>this.tell("player-ended")}
              @error=${()=>{this.failed()}}
              .muted=${!0}
            ></video>`:h}
      <span class="stamp" dir="auto">${this.formats.dateTime(this._stamp)}</span>
      ${this._trouble?d`<span class="trouble" role="alert">${this.texts.get(`clip_${this._trouble}`)}</span>`:h}
    `}};customElements.define("magicpi-clip-player",oe);var cs=15,le=class extends v{constructor(){super(...arguments);this.sensors=[];this.release=null;this.changed=()=>this.requestUpdate()}static{this.properties={_config:{state:!0}}}setConfig(t){this._config=t}set hass(t){let e=!this._hass,s=this.troubles.join();this._hass=t,this.feed??=C.of(t),this.feed.update(t),e?(this.attach(),this.requestUpdate()):this.troubles.join()!==s&&this.requestUpdate()}get troubles(){let{_hass:t}=this;return t?(t.entities!==this.sensorsOf&&(this.sensorsOf=t.entities,this.sensors=Object.values(t.entities??{}).filter(({platform:e,entity_id:s})=>e==="magicpi_nvr"&&s.startsWith("binary_sensor.")).map(({entity_id:e})=>e)),this.sensors.filter(e=>{let s=t.states[e];return s?.state==="on"&&s.attributes.device_class==="problem"})):[]}getCardSize(){return 1}getGridOptions(){return{columns:"full"}}connectedCallback(){super.connectedCallback(),this.attach()}disconnectedCallback(){super.disconnectedCallback(),this.feed?.removeEventListener("changed",this.changed),this.feed?.removeEventListener("tick",this.changed),this.release?.(),this.release=null}attach(){this.feed&&!this.release&&this.isConnected&&(this.feed.addEventListener("changed",this.changed),this.feed.addEventListener("tick",this.changed),this.release=this.feed.use())}open(t){this.dispatchEvent(new CustomEvent("hass-more-info",{detail:{entityId:t},bubbles:!0,composed:!0}))}render(){let{feed:t,_hass:e}=this;if(!t?.texts||!t.cameras||!e)return h;let{texts:s}=t,n=k(e),a=[];t.live||a.push({text:s.get("waiting"),icon:"mdi:lan-disconnect"});for(let o of t.cameras){let l=t.info(o),c=l.status?Date.parse(l.status.last_changed):NaN;if(l.status&&["late","offline"].includes(l.status.state)){let p=[o.name,e.formatEntityState(l.status),n.relative(c,y())];a.push({text:p.join(" \xB7 "),icon:"mdi:cctv-off",entity:l.status.entity_id})}if(l.battery&&Number(l.battery.state)<=cs){let p=[o.name,e.formatEntityState(l.battery)];a.push({text:p.join(" \xB7 "),icon:"mdi:battery-alert-variant-outline",entity:l.battery.entity_id})}}for(let o of this.troubles)a.push({text:String(e.states[o]?.attributes.friendly_name),icon:"mdi:alert-circle-outline",entity:o});return d`<ha-card>
      ${a.length?a.map(({text:o,icon:l,entity:c})=>d`<button
                ?disabled=${!c}
                @click=${()=>c&&this.open(c)}
              >
                <ha-icon class="bad" icon=${l}></ha-icon> ${o}
              </button>`):d`<p><ha-icon icon="mdi:check-circle-outline"></ha-icon> ${s.get("no_problems")}</p>`}
    </ha-card>`}static{this.styles=b`
    ha-card {
      padding: 4px 8px;
    }
    p,
    button {
      display: flex;
      gap: 8px;
      align-items: center;
      width: 100%;
      min-height: 40px;
      margin: 0;
      padding: 0 4px;
      border: none;
      background: none;
      font: inherit;
      text-align: start;
      color: var(--primary-text-color, #111);
    }
    button:enabled {
      cursor: pointer;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
    }
    .bad {
      color: var(--error-color, #c62828);
    }
  `}};customElements.define("magicpi-problems-card",le);var K=b`
  button,
  input,
  select,
  textarea {
    font: inherit;
    font-size: 14px;
    min-height: 40px;
    min-width: 40px;
    box-sizing: border-box;
    border: 1px solid var(--divider-color, #ccc);
    border-radius: 10px;
    background: var(--card-background-color, #fff);
    color: var(--primary-text-color, #111);
    color-scheme: light dark;
  }
  button {
    cursor: pointer;
    padding: 0 8px;
    --mdc-icon-size: 20px;
  }
  button.icon {
    padding: 0;
    border-color: transparent;
    border-radius: 20px;
    background: none;
  }
  button.icon:hover,
  button.icon[aria-pressed="true"] {
    background: var(--secondary-background-color, #eee);
  }
  button.on {
    border-color: var(--primary-color, #03a9f4);
    box-shadow: inset 0 0 0 1px var(--primary-color, #03a9f4);
  }
  button:disabled {
    opacity: 0.4;
    cursor: default;
  }
  :is(button, input, select, textarea):focus-visible {
    outline: 2px solid var(--primary-color, #03a9f4);
    outline-offset: 1px;
  }
`;var ds=[.25,.5,1,2,4,8],ce=class extends v{constructor(){super(...arguments);this.source={kind:"none"};this.now=0;this.canGroup=!1;this.canZones=!1;this.from=0;this.scrubbing=!1;this.inherited=null;this._panel="none";this._paused=!0;this._rate=1;this._at=0;this._busy=!1;this._problem=null;this._stream=null;this.draft={};this.held=!1;this.written=t=>{let{name:e,value:s}=t.target;this.draft[e]=s}}static{this.properties={source:{attribute:!1},texts:{attribute:!1},formats:{attribute:!1},info:{attribute:!1},now:{attribute:!1},canGroup:{attribute:!1},canZones:{attribute:!1},_panel:{state:!0},_paused:{state:!0},_rate:{state:!0},_at:{state:!0},_busy:{state:!0},_problem:{state:!0},_stream:{state:!0}}}static{this.styles=[K,b`
      :host {
        display: block;
        container-type: inline-size;
      }
      .stage {
        position: relative;
        width: 100%;
        aspect-ratio: 4 / 3;
        max-height: 52vh;
        border-radius: 8px;
        overflow: hidden;
        background: #000;
      }
      .stage:fullscreen {
        max-height: none;
        border-radius: 0;
      }
      .stage > img {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: contain;
      }
      .caption {
        position: absolute;
        z-index: 1;
        top: 8px;
        inset-inline-start: 8px;
        display: flex;
        align-items: center;
        box-sizing: border-box;
        max-width: calc(100% - 16px);
        padding: 2px 8px;
        border-radius: 10px;
        background: rgb(0 0 0 / 65%);
        color: #fff;
        font-size: 13px;
        white-space: nowrap;
        pointer-events: none;
      }
      .caption span {
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .caption .name {
        /* Where there is no room for all, the last facts go first. */
        flex: none;
        max-width: 50%;
      }
      .dot {
        flex: none;
        margin-inline-start: 6px;
        width: 8px;
        height: 8px;
        border-radius: 4px;
        background: #f44336;
      }
      .bar,
      .panel {
        display: flex;
        flex-wrap: wrap;
        gap: 2px;
        align-items: center;
        min-height: 40px;
      }
      .panel {
        gap: 8px;
        padding: 4px 0;
      }
      .panel textarea,
      .panel input {
        flex: 1 1 200px;
        padding: 8px;
      }
      .panel label {
        display: flex;
        flex: 1 1 260px;
        gap: 8px;
        align-items: center;
      }
      .ends {
        display: flex;
        gap: 8px;
      }
      input[type="range"] {
        flex: 1 1 100px;
        min-width: 80px;
        border: none;
        background: none;
        accent-color: var(--primary-color, #03a9f4);
      }
      .about {
        flex: 1 1 240px;
        margin: 0;
        min-height: 20px;
        color: var(--secondary-text-color, #555);
        overflow-wrap: anywhere;
      }
      .about b {
        color: var(--primary-text-color, #111);
        font-weight: 500;
      }
      .about.pending {
        flex: 1 1 0;
        --mdc-icon-size: 18px;
      }
      @container (max-width: 500px) {
        .bar input[type="range"],
        .about.pending:has(ha-icon) {
          order: 1;
          flex-basis: 100%;
        }
        .about {
          flex-basis: 100%;
        }
        .spread {
          justify-content: space-between;
        }
        .panel label {
          flex-direction: column;
          align-items: stretch;
          gap: 4px;
        }
        .panel label :is(input, textarea) {
          flex: none;
        }
      }
      .danger {
        color: var(--error-color, #c62828);
      }
    `]}willUpdate(t){if(t.has("source")){let e=t.get("source"),s=n=>n&&"event"in n&&n.event.id;s(e)!==s(this.source)&&(this._panel="none",this._problem=null,this._at=this.from,this.draft={},this.held=!1)}if(this.inherited){let{panel:e,problem:s,rate:n,paused:a,draft:o}=this.inherited;[this._panel,this._problem,this._rate]=[e,s,n],this._paused=this.held=a,this.draft=o,this.inherited=null}this.findStream()}get memory(){let{_panel:t,_problem:e,_rate:s,_paused:n,draft:a}=this;return{panel:t,problem:e,rate:s,paused:n,draft:a}}findStream(){let t=this.source.kind==="live"?this.feed.camera(this.source.camera):void 0;if(!t||!this.feed.info(t).streaming)this._stream=null;else if(this._stream?.camera!==t.id){let s=this.feed.hass.states[t.entity_id]?.attributes.entity_picture;this._stream=typeof s=="string"?{camera:t.id,url:this.feed.hass.hassUrl(s.replace("/camera_proxy/","/camera_proxy_stream/"))}:null}}get player(){return this.renderRoot.querySelector("magicpi-clip-player, magicpi-clip-group")}get event(){return"event"in this.source?this.source.event:null}seek(t){this.player?.seek(t)}play(){this.player?.play(),this._paused=!1}pause(){this.player?.pause(),this._paused=!0}toggle(){this.player?.paused?this.play():this.pause()}ask(t,e){this.dispatchEvent(new CustomEvent(t,{detail:e}))}timed(t){this._at=t.detail.at,this.ask("stage-time",t.detail)}async fullscreen(){let t=this.renderRoot.querySelector(".stage");document.fullscreenElement?await document.exitFullscreen():"requestFullscreen"in t?await t.requestFullscreen():this.player?.shadowRoot?.querySelector("video")?.webkitEnterFullscreen?.()}async attempt(t){this._busy=!0,this._problem=null;try{await t(),this._panel="none"}catch(e){this._problem=await U(this.feed.hass,this.texts,e)}finally{this._busy=!1}}protect(t){return this.attempt(()=>yt(this.feed.hass,t.protected?"unprotect":"protect",{event_id:t.id}))}save(t){let e=n=>this.renderRoot.querySelector(`.panel [name=${n}]`).value.trim(),s=e("labels").split(",").map(n=>n.trim()).filter(Boolean);return this.attempt(()=>yt(this.feed.hass,"label_event",{event_id:t.id,labels:[...new Set(s)],description:e("note")}))}deleteEvent(t){return this.attempt(()=>yt(this.feed.hass,"delete_event",{event_id:t.id}))}download(t){return this.attempt(async()=>{let e=await et(this.feed.hass,`${t.clip}?download=1`,300),s=document.createElement("a");s.href=e,s.download="",s.click()})}share(t){return this.attempt(async()=>{let e=await et(this.feed.hass,t.clip,Ke),s=new URL(e,location.href).href,n=`${this.feed.camera(t.camera)?.name??""} ${this.formats.dateTime(t.start)}`;navigator.share?await navigator.share({title:n,url:s}).catch(a=>{if(a.name!=="AbortError")throw a}):(await hs(s),this.dispatchEvent(new CustomEvent("hass-notification",{detail:{message:this.texts.get("link_copied")},bubbles:!0,composed:!0})))})}render(){return d`
      <div class="stage">${this.renderPicture()}</div>
      ${this.renderBar()} ${this.renderPanel()}
      ${this._problem?d`<p class="about danger" role="alert">${this._problem}</p>`:h}
    `}renderPicture(){let{source:t,texts:e,formats:s}=this;if(t.kind==="clip"||t.kind==="group"){let n=this.feed.camera(t.event.camera)?.name??"",a=l=>this.timed(l),o=()=>{this._paused=this.player?.paused??!0};return t.kind==="group"?d`<magicpi-clip-group
          .feed=${this.feed}
          .events=${t.events}
          .texts=${e}
          .formats=${s}
          .rate=${this._rate}
          .at=${this.from}
          @player-time=${a}
          @player-state=${o}
        ></magicpi-clip-group>`:d`<magicpi-clip-player
          .feed=${this.feed}
          .from=${this.from}
          .playing=${!this.scrubbing&&!this.held}
          .event=${t.event}
          .texts=${e}
          .formats=${s}
          .name=${n}
          .rate=${this._rate}
          @player-time=${a}
          @player-state=${o}
          @player-ended=${()=>{this._panel==="none"&&this.ask("stage-ended")}}
        ></magicpi-clip-player>
        <span class="caption"><span>${n}</span></span>`}if(t.kind==="live"){let n=this.feed.camera(t.camera);return n?this.renderLive(n):h}return d`<span class="caption"><span>${e.get("no_event_here")}</span></span>`}renderLive(t){let{texts:e,formats:s}=this,n=this.feed.info(t),a=this.feed.picture(t),o=n.streaming?this._stream?.url??a?.url:a?.url,l=n.status?this.feed.hass.formatEntityState(n.status):"",c=n.streaming?[e.get("live")]:a?[l,a.at&&e.get("picture_age",{age:s.relative(a.at,this.now)}),n.nextCheckIn&&n.nextCheckIn>this.now&&e.get("next_check_in",{time:s.clock(n.nextCheckIn)})]:[l,e.get("no_picture")];return d`
      ${o?d`<img
              src=${o}
              alt=${e.get("live_of",{camera:t.name})}
              @error=${()=>{this._stream=null}}
            />`:h}
      <span class="caption">
        <span class="name">${t.name}</span>
        <span>${c.filter(Boolean).map(p=>`\xA0\xB7 ${p}`)}</span>
        ${n.streaming?d`<i class="dot"></i>`:h}
      </span>
    `}button(t,e,s,n={}){return d`<button
      class="icon"
      aria-label=${e}
      title=${e}
      aria-pressed=${n.pressed===void 0?h:n.pressed}
      ?disabled=${n.off??!1}
      @click=${s}
    >
      <ha-icon icon=${t}></ha-icon>
    </button>`}renderBar(){let{event:t,texts:e}=this,s=c=>this.ask("stage-step",{by:c}),n={before:this.button("mdi:skip-previous",e.get("previous_event"),()=>s(-1)),after:this.button("mdi:skip-next",e.get("next_event"),()=>s(1))};if(!t){let c=this.source.kind==="live"?this.feed.camera(this.source.camera):void 0,p=c&&this.feed.info(c).pending;return d`<div class="bar">
        ${n.before} ${n.after}
        <span class="about pending">
          ${p?d`<ha-icon icon="mdi:email-arrow-right-outline"></ha-icon> ${p}`:h}
        </span>
        ${this.canZones&&c?.picture?this.button("mdi:vector-polygon",e.get("zones"),()=>this.ask("stage-zones")):h}
        ${c?this.button("mdi:fullscreen",e.get("fullscreen"),()=>{this.fullscreen()}):h}
      </div>`}let a=this.feed.camera(t.camera),o=this.source.kind==="group",l=this.source.kind==="group"?[Math.min(...this.source.events.map(c=>c.start)),Math.max(...this.source.events.map(c=>c.end))]:[t.start,t.end];return d`
      <div class="bar">
        ${n.before}
        ${this.button(this._paused?"mdi:play":"mdi:pause",e.get(this._paused?"play":"pause"),()=>this.toggle())}
        ${n.after}
        ${this.button("mdi:step-backward",e.get("frame_back"),()=>this.player?.step(-1))}
        ${this.button("mdi:step-forward",e.get("frame_on"),()=>this.player?.step(1))}
        <input
          type="range"
          aria-label=${e.get("position")}
          aria-valuetext=${this.formats.time(this._at)}
          min=${l[0]}
          max=${l[1]}
          step="10"
          .value=${String(this._at)}
          @input=${c=>this.seek(Number(c.target.value))}
        />
        <select
          aria-label=${e.get("speed")}
          @change=${c=>{this._rate=Number(c.target.value)}}
        >
          ${ds.map(c=>d`<option value=${c} ?selected=${c===this._rate}>${c}×</option>`)}
        </select>
        ${this.canGroup||o?this.button("mdi:view-grid-outline",e.get("all_at_once"),()=>this.ask("stage-group"),{pressed:o}):h}
        ${this.button("mdi:fullscreen",e.get("fullscreen"),()=>{this.fullscreen()})}
      </div>
      <div class="bar spread">
        <p class="about">
          <b>${a?.name} · ${this.formats.dateTime(t.start)}</b> · ${rt(t,e).join(" \xB7 ")}
          ${t.description?d`<br />${t.description}`:h}
        </p>
        ${this.feed.may(a,"control")?d`${this.button(t.protected?"mdi:lock":"mdi:lock-open-variant-outline",e.get(t.protected?"unprotect":"protect"),()=>{this.protect(t)},{off:this._busy,pressed:t.protected})}
              ${this.button("mdi:tag-outline",e.get("label"),()=>{this._panel=this._panel==="edit"?"none":"edit",this.draft={}},{pressed:this._panel==="edit"})}`:h}
        ${this.button("mdi:download",e.get("download"),()=>{this.download(t)},{off:this._busy})}
        ${this.button("mdi:share-variant",e.get("share"),()=>{this.share(t)},{off:this._busy})}
        ${this.feed.may(a,"edit")?this.button("mdi:delete-outline",e.get("delete"),()=>{this._panel=this._panel==="delete"?"none":"delete"},{pressed:this._panel==="delete"}):h}
        ${this.button("mdi:close",e.get("close"),()=>this.ask("stage-close"))}
      </div>
    `}renderPanel(){let{event:t,texts:e}=this;if(!t||this._panel==="none")return h;let s=d`<button
      @click=${()=>{this._panel="none"}}
    >
      ${e.get("cancel")}
    </button>`;return this._panel==="delete"?d`<div class="panel" role="group" aria-label=${e.get("delete")}>
        <span>${e.get("delete_sure")}</span>
        <button class="danger" ?disabled=${this._busy} @click=${()=>{this.deleteEvent(t)}}>
          ${e.get("delete")}
        </button>
        ${s}
      </div>`:d`<div class="panel" role="group" aria-label=${e.get("label")}>
      <label
        >${e.get("labels")}
        <input name="labels" .value=${this.draft.labels??t.labels.join(", ")} @input=${this.written} />
      </label>
      <label
        >${e.get("note")}
        <textarea name="note" rows="1" .value=${this.draft.note??t.description??""} @input=${this.written}>
        </textarea>
      </label>
      <span class="ends">
        <button ?disabled=${this._busy} @click=${()=>{this.save(t)}}>${e.get("save")}</button>
        ${s}
      </span>
    </div>`}};async function hs(r){if(navigator.clipboard){await navigator.clipboard.writeText(r);return}let i=document.createElement("textarea");i.value=r,document.body.append(i),i.select(),document.execCommand("copy"),i.remove()}customElements.define("magicpi-stage",ce);function ps(r,i){let t=e=>String(i.states[e]?.attributes.friendly_name??e);return Object.values(i.entities??{}).filter(e=>e.platform==="magicpi_nvr"&&e.entity_id.startsWith("camera.")).map(e=>e.entity_id).filter(e=>i.states[e]).filter(e=>!r.entities?.length||r.entities.includes(e)).sort((e,s)=>t(e).localeCompare(t(s)))}function Rt(r,i){return{type:"heading",heading:r,icon:i}}function us(r){return r.map(i=>({type:"custom:magicpi-camera-card",entity:i}))}function vi(r,i,t){let e=r.entities?.length?{entities:r.entities}:{},s=ps(r,i);return[[Rt(t.get("cameras"),"mdi:cctv"),...us(s)],[Rt(t.get("timeline"),"mdi:chart-gantt"),{type:"custom:magicpi-timeline-card",...e,grid_options:{columns:"full"}}],[Rt(t.get("latest"),"mdi:filmstrip"),{type:"custom:magicpi-clips-card",...e,grid_options:{columns:"full"}}],[Rt(t.get("problems"),"mdi:alert-circle-outline"),{type:"custom:magicpi-problems-card",...e,grid_options:{columns:"full"}}]]}async function bi(r,i){let t=await D(i),[e,s,n,a]=vi(r,i,t),o=(l,c)=>({type:"grid",column_span:c,cards:l});return{type:"sections",max_columns:2,sections:[o(e,2),o(s,2),o(n,1),o(a,1)]}}var de=class extends HTMLElement{static{this.registryDependencies=["entities"]}static async generate(i,t){return{title:_("cameras"),views:[{title:_("cameras"),path:"cameras",icon:"mdi:cctv",...await bi(i,t)}]}}static getCreateSuggestions(){return{title:_("cameras"),icon:"mdi:cctv"}}},he=class extends HTMLElement{static{this.registryDependencies=["entities"]}static generate(i,t){return bi(i,t)}},pe=class extends HTMLElement{static{this.registryDependencies=["entities"]}static async generate(i,t){let[e,s]=vi(i,t,await D(t));return{cards:[...e,...s.slice(1)]}}};for(let[r,i]of Object.entries({dashboard:de,view:he,section:pe}))customElements.define(`ll-strategy-${r}-magicpi-cameras`,i);function yi(r,i,t,e){let s=(n,a,o)=>d`<button
    class="chip ${a?"on":""}"
    aria-pressed=${a}
    @click=${()=>e({...r,...o})}
  >
    ${n}
  </button>`;return d`<div class="chips" role="group" aria-label=${t.get("filters")}>
    ${s(t.get("unseen"),r.unseen,{unseen:!r.unseen})}
    ${s(t.get("protected"),r.protected,{protected:!r.protected})}
    ${i.reasons.length>1?i.reasons.map(n=>s(t.reason(n),r.reasons.includes(n),{reasons:lt(r.reasons,n)})):h}
    ${i.labels.map(n=>s(t.label(n),r.labels.includes(n),{labels:lt(r.labels,n)}))}
    ${i.zones.map(n=>s(n,r.zones.includes(n),{zones:lt(r.zones,n)}))}
    ${i.nothingSeen||r.nothingSeen?s(t.get("nothing_seen"),r.nothingSeen,{nothingSeen:!r.nothingSeen}):h}
    ${i.continuous||r.continuous?s(t.reason("continuous"),r.continuous,{continuous:!r.continuous}):h}
    ${i.cameras.length>1?i.cameras.map(n=>s(n.name,r.cameras.includes(n.id),{cameras:lt(r.cameras,n.id)})):h}
  </div>`}var _i=null;function wi(){return _i??=(async()=>{if(customElements.get("ha-date-input"))return!0;let r=window.loadCardHelpers;return r?((await r()).createRowElement({type:"date-entity",entity:"date.none"}),Promise.race([customElements.whenDefined("ha-date-input").then(()=>!0),new Promise(i=>window.setTimeout(()=>i(!1),5e3))])):!1})().catch(()=>!1),_i}var ue=new Map,ct=new Map;function $i(r,i){let t=ct.get(r);t?(ct.delete(r),t(i)):ue.set(r,{memory:i,at:Date.now()})}function xi(r,i){let t=ue.get(r);if(ue.delete(r),t&&Date.now()-t.at<12e4){i(t.memory);return}ct.set(r,i),window.setTimeout(()=>{ct.get(r)===i&&ct.delete(r)},1e3)}var fs=6e4,Mt=(r,i)=>r>=i.start&&r<=i.end,P=r=>r.end-r.start,Ei=.01;function Lt(r,i=864e5){let t={start:r-i,end:r+i*Ei};return{base:t,view:t,follow:!0}}function me(r){return{base:r,view:r,follow:!1}}function ki(r,i,t){let e=i-r.base.start-P(r.base)/(1+Ei);if(!r.follow||Math.abs(e)<P(r.view)/Math.max(1,t))return r;let s=r.view.end>=r.base.end-1,n=Pt(r.base,e);return{...r,base:n,view:s||r.view.start<n.start?Pt(r.view,e):r.view}}function Pt(r,i){return{start:r.start+i,end:r.end+i}}function zt(r,i,t){let e=Math.min(r.view.end+i,Math.max(t,r.base.end)),s=Pt(r.view,e-r.view.end),n=Math.max(0,s.end-r.base.end)+Math.min(0,s.start-r.base.start);return{base:Pt(r.base,n),view:s,follow:r.follow&&n===0}}function Ci(r,i,t){let{start:e,end:s}=r.view,n=Math.min(P(r.base),Math.max(fs,(s-e)*i)),a=(Math.min(s,Math.max(e,t))-e)/(s-e),o=Math.min(r.base.end-n,Math.max(r.base.start,t-a*n));return{...r,view:{start:o,end:o+n}}}function fe(r,i,t){return Mt(i,r.view)?r:zt(r,i-P(r.view)/2-r.view.start,t)}var gs=150,vs=200,bs=5,ys=4,Si=15e3,_s=2*864e5,ws=12,ge=class extends v{constructor(){super(...arguments);this._mode="recent";this._port=Lt(y());this._source={kind:"none"};this._cursor=null;this._filters=ui;this._unfolded=!1;this._zones=!1;this._editing=null;this._now=y();this._dateInput=!1;this.renders=0;this.release=null;this.filtered=new St;this.shown=[];this.minimapLists=[];this.scrubbing=!1;this.from=0;this.inherited=null;this.width=new ResizeObserver(()=>this.requestUpdate());this.changed=()=>{this.follow(),this.requestUpdate()};this.ready=()=>{this.tick(),this.follow(),this.store.want(this.wanted()),this.store.refresh();let t=this.cameras[0];t&&this.hass.user?.is_admin&&_t(this.hass,t.id).then(e=>{this._zones=e!==null},()=>{})};this.noticed=t=>{let e=t.detail;this.store.noticed(e),"event"in this._source&&this._source.event.id===e.event.id&&this.reopen(e.type==="event_deleted"?null:e.event)};this.tick=()=>{let t=y(),e=ki(this._port,t,this.clientWidth);e!==this._port&&(this._port=e,this.store?.trim(e.base.start-_s)),(Math.floor(t/6e4)!==Math.floor(this._now/6e4)||Math.abs(t-this._now)>6e4)&&(this._now=t)};this.asked=t=>{let e=t.detail;!t.defaultPrevented&&this.cameras.some(s=>s.id===e.camera)&&(t.preventDefault(),this.play(e,e.start),this.scrollIntoView({block:"start",behavior:"smooth"}))}}static{this.properties={_config:{state:!0},_mode:{state:!0},_port:{state:!0},_source:{state:!0},_cursor:{state:!0},_filters:{state:!0},_unfolded:{state:!0},_zones:{state:!0},_editing:{state:!0},_now:{state:!0},_dateInput:{state:!0}}}static getConfigForm(){return{schema:[{name:"title",selector:{text:{}}},{name:"entities",selector:{entity:{multiple:!0,filter:{domain:"camera",integration:"magicpi_nvr"}}}}],computeLabel:t=>_(`form_${t.name}`)}}static getStubConfig(){return{}}set hass(t){let e=this._hass;this._hass=t,this.feed??=C.of(t),this.feed.update(t),e||(this.attach(),this.requestUpdate())}get hass(){return this._hass}setConfig(t){if(t.entities!==void 0&&!Array.isArray(t.entities))throw new Error("entities must be a list of camera entities");this._config=t,this.follow()}getCardSize(){return 8+this.cameras.length}getGridOptions(){return{columns:"full",min_columns:6}}connectedCallback(){super.connectedCallback(),this.width.observe(this),this.attach(),wi().then(t=>{this._dateInput=t})}disconnectedCallback(){super.disconnectedCallback(),this.width.disconnect(),window.clearTimeout(this.scrub),window.clearTimeout(this.loadTimer),this.store&&this.feed.wasLost&&$i(this.place,this.memory),this.store?.stop(),this.feed?.removeEventListener("changed",this.changed),this.feed?.removeEventListener("ready",this.ready),this.feed?.removeEventListener("notice",this.noticed),this.feed?.removeEventListener("tick",this.tick),window.removeEventListener("magicpi-play",this.asked),this.release?.(),this.release=null}attach(){let{feed:t}=this;!t||this.release||!this.isConnected||(this.store||xi(this.place,e=>this.goOn(e)),this.store??=new At(t,()=>this.requestUpdate(),()=>{this.settle(),this.updateComplete.then(()=>this.dispatchEvent(new CustomEvent("magicpi-timeline-loaded",{bubbles:!0,composed:!0})))}),t.addEventListener("changed",this.changed),t.addEventListener("ready",this.ready),t.addEventListener("notice",this.noticed),t.addEventListener("tick",this.tick),window.addEventListener("magicpi-play",this.asked),this.tick(),this.release=t.use(),t.live&&this.ready())}get place(){return location.pathname+JSON.stringify(this._config)}get memory(){let t=this.renderRoot.querySelector("magicpi-zone-editor");return{mode:this._mode,port:this._port,source:this._source,cursor:this._cursor,filters:this._filters,unfolded:this._unfolded,editing:this._editing,stage:this.stage?.memory??null,zones:t?.memory??null}}goOn(t){[this._mode,this._port,this._source]=[t.mode,t.port,t.source],[this._cursor,this._filters]=[t.cursor,t.filters],[this._unfolded,this._editing]=[t.unfolded,t.editing],this.from=t.cursor??0,this.inherited=t,this.store?.want(this.wanted())}reopen(t){t?this._source.kind==="clip"?this._source={kind:"clip",event:t}:this._source.kind==="group"&&(this._source={...this._source,event:t}):this.stopClip()}settle(){let t="event"in this._source?this._source.event:null,e=t&&this.store.find(t.id);t&&e!==t&&(e||this.store.covers(t))&&this.reopen(e??null)}follow(){if(this.store?.setCameras(this.cameras.map(t=>t.id)),this._source.kind==="none"||this._source.kind==="live"&&!this.camera(this._source.camera)){let t=this.cameras.find(e=>e.picture)??this.cameras[0];t&&(this._source={kind:"live",camera:t.id})}}get cameras(){let t=this._config?.entities,e=this.feed?.cameras??[];return t?.length?t.flatMap(s=>e.filter(n=>n.entity_id===s)):e}camera(t){return this.cameras.find(e=>e.id===t)}get formats(){return k(this.hass)}get texts(){return this.feed.texts}get latest(){return y()}get _view(){return this._port.view}set _view(t){this._port={...this._port,view:t}}wanted(){let{base:t}=this._port;return{start:t.start,end:this._port.follow?1/0:t.end}}setPort(t){if(t===this._port)return;let e=this._port.base;this._port=t,(e.start!==t.base.start||e.end!==t.base.end)&&(window.clearTimeout(this.loadTimer),this.loadTimer=window.setTimeout(()=>this.store?.want(this.wanted()),vs))}show(t,e){let{zone:s}=this.formats,n=y();this._mode=t;let a=xt(n,s),o=e&&e<a?e:a;t==="recent"?this._port=Lt(n):t==="day"?this._port=me(Qt(o,s)):this._port=o===a?Lt(n,7*864e5):me(Qt(st(o,-6),s,7)),this._cursor=null,this.store?.want(this.wanted())}get date(){let{base:t,follow:e}=this._port;return xt(e?y():t.end-1,this.formats.zone)}goTo(t){this.show(this._mode==="week"?"week":"day",t)}jump(t){let e=it(this.date,t,this.formats.zone);this.setPort(fe(this._port,e,this.latest));let s=this.neighbor(e-1,1);s&&s.start-e<6e5?this.play(s,s.start):this._cursor=e}shownOf(t){return this.filtered.get(t.id,this.store?.lists.get(t.id),this._filters,this.feed.seen)}neighbor(t,e,s){let n=null;for(let a of this.cameras){let{events:o}=this.shownOf(a),l=e>0?E(o,t)+1:E(o,t);for(;o[l]&&(o[l].id===s||o[l].state==="recording");)l+=e;let c=o[l];c&&(!n||(e>0?c.start<n.start:c.start>n.start))&&(n=c)}return n}async step(t){let e="event"in this._source?this._source.event:null,s=e?.start??this._cursor??y(),n=this.neighbor(s,t,e?.id);if(!n&&this._port.base.start>0&&t<0&&!this.store.loading){let{base:a}=this._port;this.setPort(zt(this._port,-P(a),this.latest)),window.clearTimeout(this.loadTimer),this.store.want(this.wanted()),await new Promise(o=>this.addEventListener("magicpi-timeline-loaded",o,{once:!0})),n=this.neighbor(s,t,e?.id)}n&&this.play(n,n.start)}get stage(){return this.renderRoot.querySelector("magicpi-stage")}play(t,e){this.from=e,this._cursor=e,this.feed.seen.add(this.hass,[t]),"event"in this._source&&this._source.event.id===t.id?(this.stage?.seek(e),this.scrubbing||this.stage?.play()):this._source={kind:"clip",event:t},this.setPort(fe(this._port,e,this.latest))}live(t){this._cursor=null,this._source={kind:"live",camera:t}}stopClip(){"event"in this._source&&this.live(this._source.event.camera)}simultaneous(t){let e=[t];for(let s of this.cameras)if(s.id!==t.camera&&e.length<ys){let n=(this.store?.lists.get(s.id)??[]).findLast(a=>a.reason!==j&&a.start<=t.end+Si&&a.end>=t.start-Si);n&&e.push(n)}return e}group(){if(this._source.kind==="group")this._source={kind:"clip",event:this._source.event};else if(this._source.kind==="clip"){let{event:t}=this._source;this.from=this._cursor??t.start,this._source={kind:"group",event:t,events:this.simultaneous(t)}}}rowPlay(t){let{camera:e,at:s,event:n}=t.detail;window.clearTimeout(this.scrub),this.scrubbing=!1;let{events:a}=this.shownOf(this.camera(e)),o=n??a[E(a,s)+1];o?this.play(o,Math.max(s,o.start)):this.live(e)}rowScrub(t){let{at:e,event:s}=t.detail;this._cursor=e,window.clearTimeout(this.scrub),this.scrubbing=!0,this.stage?.pause(),s&&("event"in this._source&&this._source.event.id===s.id?this.stage?.seek(e):this.scrub=window.setTimeout(()=>this.play(s,e),gs))}zoom(t,e){this.setPort(Ci(this._port,t,e))}zoomButton(t){let{view:e}=this._port,s=this._cursor!==null&&Mt(this._cursor,e);this.zoom(t,s?this._cursor:(e.start+e.end)/2)}ended(){if(this._source.kind==="clip"){let{event:t}=this._source,e=this.camera(t.camera),{events:s}=e?this.shownOf(e):{events:[]},n=s[s.findIndex(a=>a.id===t.id)+1];n&&n.state!=="recording"&&this.play(n,n.start)}}shouldUpdate(t){return!!this._config&&(t.size===0||!!this.feed)}updated(){this.feed?.texts&&(this.inherited=null)}render(){this.renders++;let{feed:t}=this;if(!t?.texts)return d`<ha-card><div class="body"><div class="blank"></div></div></ha-card>`;let{texts:e,cameras:s}=this;return this._editing&&this.camera(this._editing)?d`<ha-card .header=${this._config.title}>
        <div class="body">
          <magicpi-zone-editor
            .feed=${t}
            .camera=${this.camera(this._editing)}
            .texts=${e}
            .inherited=${this.inherited?.zones??null}
            @zones-close=${()=>{this._editing=null}}
          ></magicpi-zone-editor>
        </div>
      </ha-card>`:d`
      <ha-card .header=${this._config.title}>
        <div class="body">
          ${this.renderStage()} ${this.renderBar()}
          ${yi(this._filters,this.choices(),e,n=>{this._filters=n})}
          ${t.cameras&&!s.length?d`<p class="hint">${e.get(t.cameras.length?"no_camera":"no_cameras")}</p>`:h}
          ${s.length?this.renderRows():h}
          ${t.cameras?d`<p class="hint" role="status">${this.status()}</p>`:h}
        </div>
      </ha-card>
    `}renderStage(){let t=this._source,e="event"in t?t.event:null,s=t.kind==="live"?this.camera(t.camera):void 0,n=s?JSON.stringify([this.feed.info(s),this.feed.picture(s),s]):e&&JSON.stringify(this.camera(e.camera));return d`<magicpi-stage
      .feed=${this.feed}
      .inherited=${this.inherited?.stage??null}
      .from=${this.from}
      .scrubbing=${this.scrubbing}
      .source=${t}
      .texts=${this.texts}
      .formats=${this.formats}
      .info=${n}
      .now=${this._now}
      .canGroup=${e!==null&&this.simultaneous(e).length>1}
      .canZones=${this._zones}
      @stage-time=${a=>{this._cursor=a.detail.at}}
      @stage-ended=${this.ended}
      @stage-step=${a=>{this.step(a.detail.by)}}
      @stage-group=${this.group}
      @stage-close=${this.stopClip}
      @stage-zones=${()=>{this._editing=s?.id??null}}
    ></magicpi-stage>`}choices(){let t=new Map,e=new Map,s=new Set,[n,a]=[!1,!1];for(let l of this.store.lists.values())for(let c of l){for(let p of nt(c))t.set(p,(t.get(p)??0)+1);for(let p of c.zones??[])e.set(p,(e.get(p)??0)+1);n||=c.verdict===at,c.reason===j?a=!0:c.reason!==ot&&s.add(c.reason)}let o=(l,c)=>{let p=[...l].sort(([,u],[,f])=>f-u).slice(0,ws);return[...new Set([...p.map(([u])=>u),...c])].sort()};return{cameras:this.cameras,labels:o(t,this._filters.labels),zones:o(e,this._filters.zones),reasons:[...new Set([...s,...this._filters.reasons])].sort(),nothingSeen:n,continuous:a}}status(){let{texts:t,formats:e}=this,{store:s,feed:n}=this;if(!n.live)return t.get("waiting");if(s.error)return t.get("failed",{error:s.error});if(s.loading||!n.cameras)return t.get("loading");let a=this.shown.reduce((o,{events:l})=>o+this.inBase(l),0);return a?t.count("events",a,e):t.get("no_events")}inBase(t){let{base:e,follow:s}=this._port,n=s?1/0:e.end,a=E(t,e.start);for(;a>=0&&t[a].end>=e.start;)a--;return Math.max(0,E(t,n)-a)}renderBar(){let{texts:t,date:e,formats:s}=this,n=xt(y(),s.zone),a=c=>{c&&/^\d{4}-\d{2}-\d{2}/.test(c)&&this.goTo(c.slice(0,10))},o=(c,p)=>d`<button
      class=${this._mode===c?"on":""}
      aria-pressed=${this._mode===c}
      @click=${()=>this.show(c,c==="recent"?void 0:e)}
    >
      ${p}
    </button>`,l=this._mode==="week"?7:1;return d`<div class="bar">
      <span class="modes" role="group" aria-label=${t.get("span")}>
        ${o("recent",t.get("recent"))} ${o("day",t.get("day"))} ${o("week",t.get("week"))}
      </span>
      <span class="dates">
        <button
          class="icon"
          aria-label=${t.get("previous_day")}
          @click=${()=>this.goTo(st(e,this._mode==="recent"?-1:-l))}
        >
          <ha-icon icon="mdi:chevron-left"></ha-icon>
        </button>
        ${this._dateInput?d`<ha-date-input
                .label=${t.get("date")}
                .locale=${this.hass.locale}
                .value=${e}
                .max=${n}
                @value-changed=${c=>{c.stopPropagation(),c.detail.value!==e&&a(c.detail.value)}}
              ></ha-date-input>`:d`<input
                type="date"
                aria-label=${t.get("date")}
                .value=${e}
                max=${n}
                @change=${c=>a(c.target.value)}
              />`}
        <button
          class="icon"
          aria-label=${t.get("next_day")}
          ?disabled=${e>=n}
          @click=${()=>this.goTo(st(e,l))}
        >
          <ha-icon icon="mdi:chevron-right"></ha-icon>
        </button>
      </span>
      <input
        class="jump"
        autocomplete="off"
        placeholder=${s.clock(it(e,12*36e5,s.zone))}
        aria-label=${t.get("jump")}
        title=${t.get("jump")}
        @change=${c=>{let p=c.target,u=ti(p.value);p.ariaInvalid=String(u===null&&p.value.trim()!==""),u!==null&&this.jump(u)}}
      />
      <span class="grow"></span>
      <span class="zooms">
      <button class="icon" aria-label=${t.get("zoom_out")} @click=${()=>this.zoomButton(2)}>
        <ha-icon icon="mdi:magnify-minus-outline"></ha-icon>
      </button>
      <button class="icon" aria-label=${t.get("zoom_in")} @click=${()=>this.zoomButton(.5)}>
        <ha-icon icon="mdi:magnify-plus-outline"></ha-icon>
      </button>
      </span>
    </div>`}renderRows(){let t=this.cameras.filter(l=>!this._filters.cameras.length||this._filters.cameras.includes(l.id));this.shown=t.map(l=>this.shownOf(l));let e=t.length>=bs,s=t.filter((l,c)=>this.inBase(this.shown[c].events)>0),n=e&&!this._unfolded&&!this.store.loading&&s.length<t.length,a=this.shown.map(({events:l})=>l);(a.length!==this.minimapLists.length||a.some((l,c)=>l!==this.minimapLists[c]))&&(this.minimapLists=a);let o=JSON.stringify(this.hass.themes?.darkMode)+(this.hass.themes?.theme??"");return d`<div
      class="rows ${e?"compact":""}"
      @row-play=${this.rowPlay}
      @row-scrub=${this.rowScrub}
      @row-zoom=${l=>this.zoom(l.detail.factor,l.detail.around)}
      @row-pan=${l=>this.setPort(zt(this._port,l.detail.by,this.latest))}
      @row-pause=${()=>this.stage?.toggle()}
    >
      ${this.renderLines()}
      ${F(n?s:t,l=>l.id,l=>this.renderRow(l,e,o))}
      ${this.renderAxis()}
      <div class="row map">
        <magicpi-minimap
          .lists=${this.minimapLists}
          .base=${this._port.base}
          .view=${this._port.view}
          .theme=${o}
        ></magicpi-minimap>
      </div>
      ${e&&s.length<t.length?d`<button
              class="fold"
              aria-expanded=${this._unfolded}
              @click=${()=>{this._unfolded=!this._unfolded}}
            >
              ${this._unfolded?this.texts.get("fold"):this.texts.count("unfold",t.length-s.length,this.formats)}
            </button>`:h}
    </div>`}renderLines(){let{view:t}=this._port,e=(s,n)=>s!==null&&Mt(s,t)?d`<i class=${n} style="transform:translateX(${(s-t.start)/P(t)*100}%)"></i>`:h;return d`<div class="row lines" aria-hidden="true">
      <div class="over">${e(y(),"now")} ${e(this._cursor,"cursor")}</div>
    </div>`}renderRow(t,e,s){let n=this._source,a="event"in n&&n.event.camera===t.id,{events:o,bands:l}=this.shownOf(t),c=e?null:this.feed.picture(t);return d`<div class="row">
      <span class="name" title=${t.name}>${t.name}</span>
      <magicpi-timeline-row
        .feed=${this.feed}
        .camera=${t.id}
        .name=${t.name}
        .events=${o}
        .bands=${l}
        .span=${this._port.view}
        .cursor=${this._cursor}
        .selected=${a?n.event.id:null}
        .formats=${this.formats}
        .texts=${this.texts}
        .seenVersion=${this.feed.seen.version}
        .theme=${s}
      ></magicpi-timeline-row>
      <button
        class="tile ${n.kind==="live"&&n.camera===t.id?"on":""}"
        aria-label=${this.texts.get("live_of",{camera:t.name})}
        @click=${()=>this.live(t.id)}
      >
        ${e?d`<ha-icon icon="mdi:cctv"></ha-icon>`:c?d`<img src=${c.url} alt="" />`:h}
      </button>
    </div>`}renderAxis(){let{formats:t}=this,{view:e}=this._port,s=this.clientWidth<500?4:12,n=ei(e,t.zone,s),a=P(e)>2*864e5;return d`<div class="row axis" aria-hidden="true">
      <div class="marks">
        ${F(n,o=>o,o=>{let l=(o-e.start)/P(e),c=l<.03?"first":l>.97?"last":"";return d`<span class=${c} style="left:${l*100}%">
            ${a?t.weekday(o):t.clock(o)}
          </span>`})}
      </div>
    </div>`}static{this.styles=[K,b`
      :host {
        display: block;
        /* What scrolls here stays below the bar of Home Assistant's page. */
        scroll-margin-top: calc(var(--header-height, 56px) + 8px);
      }
      ha-card {
        overflow: visible;
        /* Rows may be narrower than the page: names go above them on a phone. */
        container-type: inline-size;
      }
      .body {
        padding: 12px;
      }
      .blank {
        aspect-ratio: 4 / 3;
        max-height: 52vh;
        border-radius: 8px;
        background: #000;
      }
      .bar,
      .chips {
        display: flex;
        gap: 6px;
        align-items: center;
        margin: 8px 0;
      }
      .bar {
        flex-wrap: wrap;
      }
      .modes,
      .dates {
        display: flex;
        align-items: center;
      }
      .dates {
        /* The date field comes a moment later. */
        min-width: 236px;
        height: 56px;
        justify-content: space-between;
      }
      .modes button {
        border-radius: 0;
        margin-inline-start: -1px;
      }
      .modes button:first-child {
        border-start-start-radius: 10px;
        border-end-start-radius: 10px;
      }
      .modes button:last-child {
        border-start-end-radius: 10px;
        border-end-end-radius: 10px;
      }
      ha-date-input {
        width: 156px;
        /* Its label is too faint on a dark field. */
        --secondary-text-color: var(--primary-text-color);
      }
      .jump {
        width: 88px;
        padding: 0 12px;
      }
      .jump[aria-invalid="true"] {
        border-color: var(--error-color, #db4437);
      }
      .grow {
        flex: 1;
      }
      .chips {
        overflow-x: auto;
        scrollbar-width: thin;
        padding: 2px;
      }
      .chip {
        flex: none;
        border-radius: 20px;
        padding: 0 12px;
      }
      .rows {
        position: relative;
        --row-height: 44px;
      }
      .rows.compact {
        --row-height: 24px;
      }
      .row {
        display: grid;
        grid-template-columns: 110px 1fr 58px;
        gap: 8px;
        align-items: center;
        margin-bottom: 8px;
      }
      .compact .row {
        margin-bottom: 4px;
      }
      .name {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        color: var(--primary-text-color, #111);
      }
      .tile {
        padding: 0;
        height: 44px;
        width: 58px;
        overflow: hidden;
        background: #000;
        color: #fff;
      }
      .compact .tile {
        height: 24px;
        min-height: 24px;
        background: none;
        border-color: transparent;
        color: var(--secondary-text-color, #555);
      }
      .tile.on {
        border: 2px solid var(--primary-color, #03a9f4);
      }
      .tile img {
        width: 100%;
        height: 100%;
        object-fit: cover;
        display: block;
      }
      .axis {
        margin: 0;
        height: 18px;
      }
      .lines {
        position: absolute;
        inset: 0;
        margin: 0;
        pointer-events: none;
        z-index: 2;
      }
      .over,
      .marks,
      .map magicpi-minimap {
        grid-column: 2;
      }
      .over {
        position: relative;
        height: 100%;
        overflow: clip;
        direction: ltr;
      }
      .over i {
        /* As wide as the row, so that a share of itself is a share of the row. */
        position: absolute;
        inset: 0;
        border-left: 2px solid var(--primary-text-color, #111);
      }
      .over .now {
        border-left: 1px solid var(--error-color, #db4437);
      }
      .marks {
        position: relative;
        height: 18px;
        overflow: hidden;
        direction: ltr;
      }
      .marks span {
        position: absolute;
        transform: translateX(-50%);
        font-size: 11px;
        color: var(--secondary-text-color, #555);
        white-space: nowrap;
      }
      .marks .first {
        transform: none;
      }
      .marks .last {
        transform: translateX(-100%);
      }
      .map {
        margin: 2px 0 0;
      }
      .fold {
        margin-top: 8px;
        border: none;
        background: none;
        color: var(--secondary-text-color, #555);
      }
      .hint {
        margin: 6px 0 0;
        min-height: 20px;
        color: var(--secondary-text-color, #555);
      }
      @container (max-width: 500px) {
        .row {
          grid-template-columns: 1fr 58px;
        }
        .row .name {
          /* The lines for now and for the clip pass behind it. */
          position: relative;
          z-index: 3;
          grid-column: 1 / -1;
          justify-self: start;
          max-width: 100%;
          margin-bottom: -6px;
          background: var(--card-background-color, #fff);
        }
        .compact .row {
          grid-template-columns: 72px 1fr 40px;
        }
        .compact .row .name {
          grid-column: 1;
          justify-self: stretch;
          margin: 0;
          font-size: 12px;
        }
        .compact .tile {
          width: 40px;
        }
        .zooms {
          order: 1;
        }
        .dates,
        .jump {
          order: 2;
        }
        .over,
        .marks,
        .map magicpi-minimap {
          grid-column: 1;
        }
        .compact :is(.over, .marks, magicpi-minimap) {
          grid-column: 2;
        }
      }
    `]}};customElements.define("magicpi-timeline-card",ge);var Ai=3,Ti=12,$s=5,be=176,ye=class extends v{constructor(){super(...arguments);this.events=[];this.bands=[];this.span={start:0,end:1};this.selected=null;this.seenVersion=0;this.theme="";this.cursor=null;this._hover=null;this._hoverUrl=null;this.draws=0;this.observer=new ResizeObserver(()=>this.draw());this.pointers=new Map;this.gesture="none";this.pressedAt=0}static{this.properties={camera:{},name:{},events:{attribute:!1},bands:{attribute:!1},span:{attribute:!1},selected:{attribute:!1},formats:{attribute:!1},texts:{attribute:!1},seenVersion:{attribute:!1},theme:{},_hover:{state:!0},_hoverUrl:{state:!0}}}static{this.styles=b`
    :host {
      display: block;
      position: relative;
      direction: ltr;
      height: var(--row-height, 44px);
    }
    .track {
      position: absolute;
      inset: 0;
      border-radius: 6px;
      background: var(--secondary-background-color, #e8e8e8);
      cursor: pointer;
      touch-action: pan-y;
      outline-offset: 2px;
    }
    .track:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
    }
    canvas {
      width: 100%;
      height: 100%;
      display: block;
      pointer-events: none;
    }
    .tooltip {
      position: absolute;
      bottom: calc(100% + 6px);
      width: ${be}px;
      box-sizing: border-box;
      padding: 4px;
      border-radius: 8px;
      background: var(--card-background-color, #fff);
      color: var(--primary-text-color, #111);
      box-shadow: 0 2px 10px rgb(0 0 0 / 40%);
      font-size: 12px;
      line-height: 1.4;
      pointer-events: none;
      z-index: 5;
    }
    .tooltip img,
    .tooltip .blank {
      display: block;
      width: 100%;
      aspect-ratio: 4 / 3;
      object-fit: cover;
      border-radius: 5px;
      background: #000;
      margin-bottom: 3px;
    }
  `}connectedCallback(){super.connectedCallback(),this.observer.observe(this)}disconnectedCallback(){super.disconnectedCallback(),this.observer.disconnect()}updated(t){["events","bands","span","selected","seenVersion","theme"].some(s=>t.has(s))&&this.draw()}index(){let t=this.events.findIndex(e=>e.id===this.selected);return t>=0||this.cursor===null?t:E(this.events,this.cursor)}render(){let{texts:t,formats:e}=this,s=this.index(),n=this.events[s],a=this._hover,o=n?`${ie(n,t,e)}, ${t.get("event_of",{index:s+1,count:this.events.length})}`:this.events.length?t.count("events",this.events.length,e):t.get("no_events");return d`
      <div
        class="track"
        role="slider"
        tabindex="0"
        aria-label=${t.get("events_of",{camera:this.name})}
        aria-valuemin="0"
        aria-valuemax=${this.events.length}
        aria-valuenow=${s+1}
        aria-valuetext=${o}
        @pointerdown=${this.pointerDown}
        @pointermove=${this.pointerMove}
        @pointerup=${this.pointerUp}
        @pointercancel=${this.pointerLeave}
        @pointerleave=${this.pointerLeave}
        @wheel=${this.wheel}
        @keydown=${this.keyDown}
      >
        <canvas></canvas>
      </div>
      ${a?d`<div class="tooltip" dir="auto" style="left:${a.x}px" aria-hidden="true">
              ${this._hoverUrl?d`<img src=${this._hoverUrl} alt="" />`:d`<div class="blank"></div>`}
              ${ie(a.event,t,e)}
            </div>`:h}
    `}x(t,e){return(t-this.span.start)/(this.span.end-this.span.start)*e}at(t){let{width:e}=this.getBoundingClientRect(),s=Math.min(1,Math.max(0,t/e));return this.span.start+s*(this.span.end-this.span.start)}draw(){let t=this.renderRoot.querySelector("canvas"),{clientWidth:e,clientHeight:s}=this;if(!t||!e)return;this.draws++;let n=window.devicePixelRatio||1;(t.width!==Math.round(e*n)||t.height!==Math.round(s*n))&&(t.width=Math.round(e*n),t.height=Math.round(s*n));let a=t.getContext("2d"),o=getComputedStyle(this),l=($,w)=>o.getPropertyValue($).trim()||w,c=l("--primary-color","#03a9f4"),p=l("--warning-color","#ffa600"),u=l("--error-color","#db4437"),f=l("--primary-text-color","#111"),m=s>30?8:4;a.setTransform(n,0,0,n,0,0),a.clearRect(0,0,e,s),a.globalAlpha=.3,a.fillStyle=c;for(let $ of this.bands)if($.end>=this.span.start&&$.start<=this.span.end){let w=this.x($.start,e);a.fillRect(w,s-m,Math.max(1,this.x($.end,e)-w),m-2)}let g=-1,x="";for(let $=Math.max(0,E(this.events,this.span.start-36e5));$<this.events.length;$++){let w=this.events[$];if(w.start>this.span.end)break;let L=this.x(w.start,e),V=Math.max(Ai,this.x(w.end,e)-L);if(L+V<0)continue;let Ot=w.state==="recording"||!this.feed.seen.has(w),It=w.state==="recording"?u:w.protected?p:c;(x!==`${It}${Ot}`||L+V>g+.5)&&(x=`${It}${Ot}`,g=L+V,a.globalAlpha=Ot?1:.5,a.fillStyle=It,a.fillRect(L,m,V,s-2*m)),w.id===this.selected&&(a.globalAlpha=1,a.fillStyle=f,a.fillRect(L,m-4,V,3),a.fillRect(L,s-m+1,V,3))}a.globalAlpha=1}eventNear(t){let{width:e}=this.getBoundingClientRect(),s=this.at(t),n=E(this.events,s),a=null,o=Ti;for(let l of[this.events[n-1],this.events[n],this.events[n+1]])if(l){let c=this.x(l.start,e),p=Math.max(c+Ai,this.x(l.end,e)),u=t<c?c-t:Math.max(0,t-p);(u<o||u===0&&o===0)&&(a=l,o=u)}return a}local(t){return t.clientX-this.getBoundingClientRect().left}ask(t,e){this.dispatchEvent(new CustomEvent(t,{detail:e,bubbles:!0,composed:!0}))}moment(t,e,s){this.ask(t,{camera:this.camera,at:e,event:s})}pan(t){let{width:e}=this.getBoundingClientRect();this.ask("row-pan",{by:-t/e*(this.span.end-this.span.start)})}zoom(t,e){this.ask("row-zoom",{factor:t,around:e})}show(t){let e=this.eventNear(t);if(!e){this._hover=null;return}let{width:s}=this.getBoundingClientRect(),n=Math.max(0,Math.min(s-be,t-be/2));e.id!==this._hover?.event.id&&(this._hoverUrl=null,e.thumbnail&&this.feed.thumbnails.get(this.feed.hass,e.thumbnail).then(a=>{this._hover?.event.id===e.id&&(this._hoverUrl=a)})),this._hover={x:n,event:e}}takesCursor(t,e){let{width:s}=this.getBoundingClientRect();return t.shiftKey||this.cursor!==null&&Math.abs(this.x(this.cursor,s)-e)<=Ti||this.selected!==null&&this.eventNear(e)?.id===this.selected}pointerDown(t){if(t.button!==0)return;let e=this.local(t);if(t.currentTarget.setPointerCapture(t.pointerId),this.pointers.set(t.pointerId,e),this.pointers.size>1){this.gesture="pinch",this._hover=null;return}this.pressedAt=e,this.gesture=this.takesCursor(t,e)?"scrub":"press",this.gesture==="scrub"&&this.scrub(e)}pointerMove(t){let e=this.local(t),s=this.pointers.get(t.pointerId);if(s===void 0){this.gesture==="none"&&this.show(e);return}if(this.gesture==="press"&&Math.abs(e-this.pressedAt)>=$s&&(this.gesture="pan",this._hover=null),this.gesture==="pinch"&&this.pointers.size===2){let n=()=>{let[c,p]=[...this.pointers.values()];return Math.max(1,Math.abs(c-p))},a=()=>[...this.pointers.values()].reduce((c,p)=>c+p,0)/2,[o,l]=[n(),a()];this.pointers.set(t.pointerId,e),this.zoom(o/n(),this.at(a())),this.pan(a()-l);return}this.gesture!=="press"&&(this.pointers.set(t.pointerId,e),this.gesture==="pan"?this.pan(e-s):this.gesture==="scrub"&&this.scrub(e))}scrub(t){this.show(t),this.moment("row-scrub",this.at(t),this.eventNear(t))}pointerUp(t){let{gesture:e}=this;if(this.pointers.delete(t.pointerId),!this.pointers.size){if(this.gesture="none",e==="press"||e==="scrub"){let s=this.local(t);this.moment("row-play",this.at(s),this.eventNear(s))}t.pointerType!=="mouse"&&(this._hover=null)}}pointerLeave(t){t.type==="pointercancel"&&(this.pointers.delete(t.pointerId),this.gesture="none"),this.gesture==="none"&&(this._hover=null)}wheel(t){let e=t.shiftKey&&!t.deltaX?t.deltaY:t.deltaX;t.ctrlKey?(t.preventDefault(),this.zoom(t.deltaY>0?1.25:.8,this.at(this.local(t)))):Math.abs(e)>(t.shiftKey?0:Math.abs(t.deltaY))&&(t.preventDefault(),this.pan(-e))}keyDown(t){let e=this.index(),s={ArrowLeft:e-1,ArrowDown:e-1,ArrowRight:e+1,ArrowUp:e+1,PageUp:e+10,PageDown:e-10,Home:0,End:this.events.length-1};if(t.shiftKey&&(t.key==="ArrowLeft"||t.key==="ArrowRight"))t.preventDefault(),this.pan((t.key==="ArrowLeft"?.25:-.25)*this.getBoundingClientRect().width);else if(t.key in s&&this.events.length){t.preventDefault();let n=this.events[Math.min(this.events.length-1,Math.max(0,s[t.key]))];this.moment("row-play",n.start,n)}else if(t.key===" "||t.key==="Enter")t.preventDefault(),this.ask("row-pause");else if(t.key==="+"||t.key==="-"){t.preventDefault();let n=this.cursor??(this.span.start+this.span.end)/2;this.zoom(t.key==="+"?.5:2,n)}}};customElements.define("magicpi-timeline-row",ye);var Ht=.01,xs=3,Es=[[.3,.3],[.7,.3],[.7,.7],[.3,.7]],Z=r=>Math.round(Math.min(1,Math.max(0,r))*1e3)/1e3,_e=class extends v{constructor(){super(...arguments);this._zones=null;this._chosen=0;this._problem=null;this._busy=!1;this.inherited=null;this.dragged=null}static{this.properties={camera:{attribute:!1},texts:{attribute:!1},_zones:{state:!0},_chosen:{state:!0},_problem:{state:!0},_busy:{state:!0}}}static{this.styles=[K,b`
      :host {
        display: block;
      }
      .picture {
        position: relative;
        width: 100%;
        direction: ltr;
        border-radius: 8px;
        overflow: hidden;
        background: #000;
        touch-action: none;
      }
      img {
        display: block;
        width: 100%;
      }
      svg {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        overflow: visible;
      }
      polygon {
        fill: rgb(76 175 80 / 25%);
        stroke: #4caf50;
        stroke-width: 2;
        vector-effect: non-scaling-stroke;
        cursor: pointer;
      }
      polygon.ignore {
        fill: rgb(244 67 54 / 25%);
        stroke: #f44336;
        stroke-dasharray: 6 4;
      }
      polygon.chosen {
        stroke-width: 4;
      }
      .point {
        position: absolute;
        width: 40px;
        height: 40px;
        min-width: 0;
        min-height: 0;
        margin: -20px;
        padding: 0;
        border: none;
        border-radius: 20px;
        background: radial-gradient(circle, #fff 6px, #000 7px, #000 9px, transparent 10px);
        cursor: move;
        touch-action: none;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 8px;
        align-items: center;
        margin-top: 8px;
      }
      input {
        flex: 1 1 140px;
        padding: 0 8px;
      }
      p {
        margin: 6px 0 0;
        color: var(--secondary-text-color, #555);
      }
      .danger {
        color: var(--error-color, #c62828);
      }
    `]}firstUpdated(){this.load()}get memory(){return this._zones}async load(){if(this.inherited){this._zones=this.inherited;return}try{this._zones=await _t(this.feed.hass,this.camera.id)??[]}catch(t){this._problem=await U(this.feed.hass,this.texts,t)}}change(t){this.put({points:t(this._zones[this._chosen].points)})}put(t){this._zones=this._zones.map((e,s)=>s===this._chosen?{...e,...t}:e)}place(t){let{left:e,top:s,width:n,height:a}=this.renderRoot.querySelector(".picture").getBoundingClientRect();return[Z((t.clientX-e)/n),Z((t.clientY-s)/a)]}grab(t,e){t.currentTarget.setPointerCapture(t.pointerId),this.dragged=e}drag(t){if(this.dragged!==null){let e=this.place(t);this.change(s=>s.map((n,a)=>a===this.dragged?e:n))}}drop(){this.dragged=null}key(t,e){let[s,n]={ArrowLeft:[-Ht,0],ArrowRight:[Ht,0],ArrowUp:[0,-Ht],ArrowDown:[0,Ht]}[t.key]??[0,0];s||n?(t.preventDefault(),this.change(a=>a.map((o,l)=>l===e?[Z(o[0]+s),Z(o[1]+n)]:o))):t.key==="Delete"||t.key==="Backspace"?(t.preventDefault(),this.removePoint(e)):t.key==="+"&&this.doublePoint(e)}doublePoint(t){this.change(e=>{let[s,n]=[e[t],e[(t+1)%e.length]],a=[Z((s[0]+n[0])/2),Z((s[1]+n[1])/2)];return[...e.slice(0,t+1),a,...e.slice(t+1)]})}removePoint(t){this.change(e=>e.length>xs?e.filter((s,n)=>n!==t):e)}addPoint(t){if(!this._zones?.length)return;let e=this.place(t);this.change(s=>{let n=(l,c)=>Math.hypot(l[0]-c[0],l[1]-c[1]),a=0,o=1/0;return s.forEach((l,c)=>{let p=s[(c+1)%s.length],u=n(l,e)+n(e,p)-n(l,p);u<o&&([a,o]=[c,u])}),[...s.slice(0,a+1),e,...s.slice(a+1)]})}add(){let t=new Set(this._zones.map(s=>s.name)),e=this._zones.length+1;for(;t.has(this.texts.get("zone_number",{number:e}));)e++;this._zones=[...this._zones,{name:this.texts.get("zone_number",{number:e}),kind:"watch",points:Es}],this._chosen=this._zones.length-1}deleteZone(){this._zones=this._zones.filter((t,e)=>e!==this._chosen),this._chosen=Math.max(0,this._chosen-1)}async save(){this._busy=!0,this._problem=null;try{await Xe(this.feed.hass,this.camera.id,this._zones),this.close()}catch(t){this._problem=await U(this.feed.hass,this.texts,t)}finally{this._busy=!1}}close(){this.dispatchEvent(new CustomEvent("zones-close"))}render(){let{texts:t}=this,e=this.feed.picture(this.camera),s=this._zones?.[this._chosen];return d`
      <div
        class="picture"
        @dblclick=${this.addPoint}
        @pointermove=${this.drag}
        @pointerup=${this.drop}
        @pointercancel=${this.drop}
      >
        ${e?d`<img src=${e.url} alt=${t.get("live_of",{camera:this.camera.name})} />`:h}
        <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
          ${(this._zones??[]).map((n,a)=>Ie`<polygon
              class="${n.kind} ${a===this._chosen?"chosen":""}"
              points=${n.points.map(o=>o.join()).join(" ")}
              @click=${()=>{this._chosen=a}}
            ></polygon>`)}
        </svg>
        ${s?.points.map((n,a)=>d`<button
              class="point"
              style="left:${n[0]*100}%;top:${n[1]*100}%"
              aria-label=${t.get("zone_point",{number:a+1})}
              @dblclick=${o=>{o.stopPropagation(),this.removePoint(a)}}
              @pointerdown=${o=>this.grab(o,a)}
              @keydown=${o=>this.key(o,a)}
            ></button>`)??h}
      </div>
      <div class="bar">
        ${s?d`<select
                  aria-label=${t.get("zone")}
                  @change=${n=>{this._chosen=n.target.selectedIndex}}
                >
                  ${this._zones.map((n,a)=>d`<option ?selected=${a===this._chosen}>${n.name}</option>`)}
                </select>
                <input
                  aria-label=${t.get("zone_name")}
                  .value=${s.name}
                  @change=${n=>{let a=n.target.value.trim();a&&this.put({name:a})}}
                />
                <select
                  aria-label=${t.get("zone_kind")}
                  @change=${n=>this.put({kind:n.target.value})}
                >
                  ${["watch","ignore"].map(n=>d`<option value=${n} ?selected=${s.kind===n}>${t.get(`zone_${n}`)}</option>`)}
                </select>
                <button @click=${this.deleteZone}>${t.get("delete")}</button>`:h}
        <button ?disabled=${!this._zones} @click=${this.add}>${t.get("zone_add")}</button>
        <button ?disabled=${!this._zones||this._busy} @click=${()=>{this.save()}}>${t.get("save")}</button>
        <button @click=${this.close}>${t.get("cancel")}</button>
      </div>
      <p>${t.get("zone_help")}</p>
      ${this._problem?d`<p class="danger" role="alert">${this._problem}</p>`:h}
    `}};customElements.define("magicpi-zone-editor",_e);var ks=6e4,Cs=8e3;async function Ri(r){let i=(await r)?.conn,t=0,e=1e3,s=()=>{let n=++t;i?.subscribeMessage(a=>{n===t&&Ss(a)},{type:"magicpi_nvr/subscribe_waiting"},{resubscribe:!1}).then(()=>{e=1e3},()=>{window.setTimeout(()=>n===t&&s(),e),e=Math.min(ks,e*2)})};i?.addEventListener("ready",s),s()}async function Ss(r){let i=document.querySelector("home-assistant"),t=i?.hass;if(!t||document.visibilityState!=="visible")return;let e=await D(t),{camera:s,setting:n,next_check_in:a}=r,o=a?e.get("waits_check_in",{camera:s,setting:n,time:k(t).clock(a)}):e.get("waits_connection",{camera:s,setting:n});i.dispatchEvent(new CustomEvent("hass-notification",{detail:{message:o,duration:Cs}}))}var we=window;function Pi(r,i){return i.startsWith("camera.")&&r.entities?.[i]?.platform==="magicpi_nvr"}(we.customCards??=[]).push({type:"magicpi-timeline-card",get name(){return _("timeline")},get description(){return _("timeline_about")},preview:!0,getEntitySuggestion:(r,i)=>Pi(r,i)?{label:_("timeline"),config:{type:"custom:magicpi-timeline-card",entities:[i]}}:null},{type:"magicpi-camera-card",get name(){return _("camera")},get description(){return _("camera_about")},preview:!0,getEntitySuggestion:(r,i)=>Pi(r,i)?{label:_("camera"),config:{type:"custom:magicpi-camera-card",entity:i}}:null});for(let r of["dashboard","view","section"])(we.customStrategies??=[]).push({type:"magicpi-cameras",strategyType:r,get name(){return _("cameras")},get description(){return _("cameras_about")}});Ri(we.hassConnection);
/*! Bundled license information:

@lit/reactive-element/css-tag.js:
  (**
   * @license
   * Copyright 2019 Google LLC
   * SPDX-License-Identifier: BSD-3-Clause
   *)

@lit/reactive-element/reactive-element.js:
lit-html/lit-html.js:
lit-element/lit-element.js:
lit-html/directive.js:
lit-html/directives/repeat.js:
  (**
   * @license
   * Copyright 2017 Google LLC
   * SPDX-License-Identifier: BSD-3-Clause
   *)

lit-html/is-server.js:
  (**
   * @license
   * Copyright 2022 Google LLC
   * SPDX-License-Identifier: BSD-3-Clause
   *)

lit-html/directive-helpers.js:
  (**
   * @license
   * Copyright 2020 Google LLC
   * SPDX-License-Identifier: BSD-3-Clause
   *)
*/
