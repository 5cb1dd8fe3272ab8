var O=globalThis,B=O.ShadowRoot&&(O.ShadyCSS===void 0||O.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,tt=Symbol(),ft=new WeakMap,M=class{constructor(e,t,i){if(this._$cssResult$=!0,i!==tt)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=e,this.t=t}get styleSheet(){let e=this.o,t=this.t;if(B&&e===void 0){let i=t!==void 0&&t.length===1;i&&(e=ft.get(t)),e===void 0&&((this.o=e=new CSSStyleSheet).replaceSync(this.cssText),i&&ft.set(t,e))}return e}toString(){return this.cssText}},_t=r=>new M(typeof r=="string"?r:r+"",void 0,tt),U=(r,...e)=>{let t=r.length===1?r[0]:e.reduce((i,s,n)=>i+(o=>{if(o._$cssResult$===!0)return o.cssText;if(typeof o=="number")return o;throw Error("Value passed to 'css' function must be a 'css' function result: "+o+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(s)+r[n+1],r[0]);return new M(t,r,tt)},bt=(r,e)=>{if(B)r.adoptedStyleSheets=e.map(t=>t instanceof CSSStyleSheet?t:t.styleSheet);else for(let t of e){let i=document.createElement("style"),s=O.litNonce;s!==void 0&&i.setAttribute("nonce",s),i.textContent=t.cssText,r.appendChild(i)}},et=B?r=>r:r=>r instanceof CSSStyleSheet?(e=>{let t="";for(let i of e.cssRules)t+=i.cssText;return _t(t)})(r):r;var{is:te,defineProperty:ee,getOwnPropertyDescriptor:ie,getOwnPropertyNames:se,getOwnPropertySymbols:re,getPrototypeOf:ne}=Object,j=globalThis,$t=j.trustedTypes,oe=$t?$t.emptyScript:"",ae=j.reactiveElementPolyfillSupport,H=(r,e)=>r,it={toAttribute(r,e){switch(e){case Boolean:r=r?oe:null;break;case Object:case Array:r=r==null?r:JSON.stringify(r)}return r},fromAttribute(r,e){let t=r;switch(e){case Boolean:t=r!==null;break;case Number:t=r===null?null:Number(r);break;case Object:case Array:try{t=JSON.parse(r)}catch{t=null}}return t}},wt=(r,e)=>!te(r,e),yt={attribute:!0,type:String,converter:it,reflect:!1,useDefault:!1,hasChanged:wt};Symbol.metadata??=Symbol("metadata"),j.litPropertyMetadata??=new WeakMap;var $=class extends HTMLElement{static addInitializer(e){this._$Ei(),(this.l??=[]).push(e)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(e,t=yt){if(t.state&&(t.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(e)&&((t=Object.create(t)).wrapped=!0),this.elementProperties.set(e,t),!t.noAccessor){let i=Symbol(),s=this.getPropertyDescriptor(e,i,t);s!==void 0&&ee(this.prototype,e,s)}}static getPropertyDescriptor(e,t,i){let{get:s,set:n}=ie(this.prototype,e)??{get(){return this[t]},set(o){this[t]=o}};return{get:s,set(o){let l=s?.call(this);n?.call(this,o),this.requestUpdate(e,l,i)},configurable:!0,enumerable:!0}}static getPropertyOptions(e){return this.elementProperties.get(e)??yt}static _$Ei(){if(this.hasOwnProperty(H("elementProperties")))return;let e=ne(this);e.finalize(),e.l!==void 0&&(this.l=[...e.l]),this.elementProperties=new Map(e.elementProperties)}static finalize(){if(this.hasOwnProperty(H("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(H("properties"))){let t=this.properties,i=[...se(t),...re(t)];for(let s of i)this.createProperty(s,t[s])}let e=this[Symbol.metadata];if(e!==null){let t=litPropertyMetadata.get(e);if(t!==void 0)for(let[i,s]of t)this.elementProperties.set(i,s)}this._$Eh=new Map;for(let[t,i]of this.elementProperties){let s=this._$Eu(t,i);s!==void 0&&this._$Eh.set(s,t)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(e){let t=[];if(Array.isArray(e)){let i=new Set(e.flat(1/0).reverse());for(let s of i)t.unshift(et(s))}else e!==void 0&&t.push(et(e));return t}static _$Eu(e,t){let i=t.attribute;return i===!1?void 0:typeof i=="string"?i:typeof e=="string"?e.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(e=>this.enableUpdating=e),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(e=>e(this))}addController(e){(this._$EO??=new Set).add(e),this.renderRoot!==void 0&&this.isConnected&&e.hostConnected?.()}removeController(e){this._$EO?.delete(e)}_$E_(){let e=new Map,t=this.constructor.elementProperties;for(let i of t.keys())this.hasOwnProperty(i)&&(e.set(i,this[i]),delete this[i]);e.size>0&&(this._$Ep=e)}createRenderRoot(){let e=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return bt(e,this.constructor.elementStyles),e}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(e=>e.hostConnected?.())}enableUpdating(e){}disconnectedCallback(){this._$EO?.forEach(e=>e.hostDisconnected?.())}attributeChangedCallback(e,t,i){this._$AK(e,i)}_$ET(e,t){let i=this.constructor.elementProperties.get(e),s=this.constructor._$Eu(e,i);if(s!==void 0&&i.reflect===!0){let n=(i.converter?.toAttribute!==void 0?i.converter:it).toAttribute(t,i.type);this._$Em=e,n==null?this.removeAttribute(s):this.setAttribute(s,n),this._$Em=null}}_$AK(e,t){let i=this.constructor,s=i._$Eh.get(e);if(s!==void 0&&this._$Em!==s){let n=i.getPropertyOptions(s),o=typeof n.converter=="function"?{fromAttribute:n.converter}:n.converter?.fromAttribute!==void 0?n.converter:it;this._$Em=s;let l=o.fromAttribute(t,n.type);this[s]=l??this._$Ej?.get(s)??l,this._$Em=null}}requestUpdate(e,t,i,s=!1,n){if(e!==void 0){let o=this.constructor;if(s===!1&&(n=this[e]),i??=o.getPropertyOptions(e),!((i.hasChanged??wt)(n,t)||i.useDefault&&i.reflect&&n===this._$Ej?.get(e)&&!this.hasAttribute(o._$Eu(e,i))))return;this.C(e,t,i)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(e,t,{useDefault:i,reflect:s,wrapped:n},o){i&&!(this._$Ej??=new Map).has(e)&&(this._$Ej.set(e,o??t??this[e]),n!==!0||o!==void 0)||(this._$AL.has(e)||(this.hasUpdated||i||(t=void 0),this._$AL.set(e,t)),s===!0&&this._$Em!==e&&(this._$Eq??=new Set).add(e))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(t){Promise.reject(t)}let e=this.scheduleUpdate();return e!=null&&await e,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[s,n]of this._$Ep)this[s]=n;this._$Ep=void 0}let i=this.constructor.elementProperties;if(i.size>0)for(let[s,n]of i){let{wrapped:o}=n,l=this[s];o!==!0||this._$AL.has(s)||l===void 0||this.C(s,void 0,n,l)}}let e=!1,t=this._$AL;try{e=this.shouldUpdate(t),e?(this.willUpdate(t),this._$EO?.forEach(i=>i.hostUpdate?.()),this.update(t)):this._$EM()}catch(i){throw e=!1,this._$EM(),i}e&&this._$AE(t)}willUpdate(e){}_$AE(e){this._$EO?.forEach(t=>t.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(e)),this.updated(e)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(e){return!0}update(e){this._$Eq&&=this._$Eq.forEach(t=>this._$ET(t,this[t])),this._$EM()}updated(e){}firstUpdated(e){}};$.elementStyles=[],$.shadowRootOptions={mode:"open"},$[H("elementProperties")]=new Map,$[H("finalized")]=new Map,ae?.({ReactiveElement:$}),(j.reactiveElementVersions??=[]).push("2.1.2");var rt=globalThis,xt=r=>r,V=rt.trustedTypes,At=V?V.createPolicy("lit-html",{createHTML:r=>r}):void 0,nt="$lit$",y=`lit$${Math.random().toFixed(9).slice(2)}$`,ot="?"+y,le=`<${ot}>`,C=document,N=()=>C.createComment(""),z=r=>r===null||typeof r!="object"&&typeof r!="function",at=Array.isArray,Tt=r=>at(r)||typeof r?.[Symbol.iterator]=="function",st=`[ 	
\f\r]`,D=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,Et=/-->/g,Ct=/>/g,A=RegExp(`>|${st}(?:([^\\s"'>=/]+)(${st}*=${st}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),St=/'/g,Pt=/"/g,Rt=/^(?:script|style|textarea|title)$/i,lt=r=>(e,...t)=>({_$litType$:r,strings:e,values:t}),g=lt(1),we=lt(2),xe=lt(3),w=Symbol.for("lit-noChange"),u=Symbol.for("lit-nothing"),kt=new WeakMap,E=C.createTreeWalker(C,129);function Mt(r,e){if(!at(r)||!r.hasOwnProperty("raw"))throw Error("invalid template strings array");return At!==void 0?At.createHTML(e):e}var Ut=(r,e)=>{let t=r.length-1,i=[],s,n=e===2?"<svg>":e===3?"<math>":"",o=D;for(let l=0;l<t;l++){let a=r[l],h,v,c=-1,p=0;for(;p<a.length&&(o.lastIndex=p,v=o.exec(a),v!==null);)p=o.lastIndex,o===D?v[1]==="!--"?o=Et:v[1]!==void 0?o=Ct:v[2]!==void 0?(Rt.test(v[2])&&(s=RegExp("</"+v[2],"g")),o=A):v[3]!==void 0&&(o=A):o===A?v[0]===">"?(o=s??D,c=-1):v[1]===void 0?c=-2:(c=o.lastIndex-v[2].length,h=v[1],o=v[3]===void 0?A:v[3]==='"'?Pt:St):o===Pt||o===St?o=A:o===Et||o===Ct?o=D:(o=A,s=void 0);let d=o===A&&r[l+1].startsWith("/>")?" ":"";n+=o===D?a+le:c>=0?(i.push(h),a.slice(0,c)+nt+a.slice(c)+y+d):a+y+(c===-2?l:d)}return[Mt(r,n+(r[t]||"<?>")+(e===2?"</svg>":e===3?"</math>":"")),i]},L=class r{constructor({strings:e,_$litType$:t},i){let s;this.parts=[];let n=0,o=0,l=e.length-1,a=this.parts,[h,v]=Ut(e,t);if(this.el=r.createElement(h,i),E.currentNode=this.el.content,t===2||t===3){let c=this.el.content.firstChild;c.replaceWith(...c.childNodes)}for(;(s=E.nextNode())!==null&&a.length<l;){if(s.nodeType===1){if(s.hasAttributes())for(let c of s.getAttributeNames())if(c.endsWith(nt)){let p=v[o++],d=s.getAttribute(c).split(y),m=/([.?@])?(.*)/.exec(p);a.push({type:1,index:n,name:m[2],strings:d,ctor:m[1]==="."?q:m[1]==="?"?Z:m[1]==="@"?K:P}),s.removeAttribute(c)}else c.startsWith(y)&&(a.push({type:6,index:n}),s.removeAttribute(c));if(Rt.test(s.tagName)){let c=s.textContent.split(y),p=c.length-1;if(p>0){s.textContent=V?V.emptyScript:"";for(let d=0;d<p;d++)s.append(c[d],N()),E.nextNode(),a.push({type:2,index:++n});s.append(c[p],N())}}}else if(s.nodeType===8)if(s.data===ot)a.push({type:2,index:n});else{let c=-1;for(;(c=s.data.indexOf(y,c+1))!==-1;)a.push({type:7,index:n}),c+=y.length-1}n++}}static createElement(e,t){let i=C.createElement("template");return i.innerHTML=e,i}};function S(r,e,t=r,i){if(e===w)return e;let s=i!==void 0?t._$Co?.[i]:t._$Cl,n=z(e)?void 0:e._$litDirective$;return s?.constructor!==n&&(s?._$AO?.(!1),n===void 0?s=void 0:(s=new n(r),s._$AT(r,t,i)),i!==void 0?(t._$Co??=[])[i]=s:t._$Cl=s),s!==void 0&&(e=S(r,s._$AS(r,e.values),s,i)),e}var W=class{constructor(e,t){this._$AV=[],this._$AN=void 0,this._$AD=e,this._$AM=t}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(e){let{el:{content:t},parts:i}=this._$AD,s=(e?.creationScope??C).importNode(t,!0);E.currentNode=s;let n=E.nextNode(),o=0,l=0,a=i[0];for(;a!==void 0;){if(o===a.index){let h;a.type===2?h=new k(n,n.nextSibling,this,e):a.type===1?h=new a.ctor(n,a.name,a.strings,this,e):a.type===6&&(h=new F(n,this,e)),this._$AV.push(h),a=i[++l]}o!==a?.index&&(n=E.nextNode(),o++)}return E.currentNode=C,s}p(e){let t=0;for(let i of this._$AV)i!==void 0&&(i.strings!==void 0?(i._$AI(e,i,t),t+=i.strings.length-2):i._$AI(e[t])),t++}},k=class r{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(e,t,i,s){this.type=2,this._$AH=u,this._$AN=void 0,this._$AA=e,this._$AB=t,this._$AM=i,this.options=s,this._$Cv=s?.isConnected??!0}get parentNode(){let e=this._$AA.parentNode,t=this._$AM;return t!==void 0&&e?.nodeType===11&&(e=t.parentNode),e}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(e,t=this){e=S(this,e,t),z(e)?e===u||e==null||e===""?(this._$AH!==u&&this._$AR(),this._$AH=u):e!==this._$AH&&e!==w&&this._(e):e._$litType$!==void 0?this.$(e):e.nodeType!==void 0?this.T(e):Tt(e)?this.k(e):this._(e)}O(e){return this._$AA.parentNode.insertBefore(e,this._$AB)}T(e){this._$AH!==e&&(this._$AR(),this._$AH=this.O(e))}_(e){this._$AH!==u&&z(this._$AH)?this._$AA.nextSibling.data=e:this.T(C.createTextNode(e)),this._$AH=e}$(e){let{values:t,_$litType$:i}=e,s=typeof i=="number"?this._$AC(e):(i.el===void 0&&(i.el=L.createElement(Mt(i.h,i.h[0]),this.options)),i);if(this._$AH?._$AD===s)this._$AH.p(t);else{let n=new W(s,this),o=n.u(this.options);n.p(t),this.T(o),this._$AH=n}}_$AC(e){let t=kt.get(e.strings);return t===void 0&&kt.set(e.strings,t=new L(e)),t}k(e){at(this._$AH)||(this._$AH=[],this._$AR());let t=this._$AH,i,s=0;for(let n of e)s===t.length?t.push(i=new r(this.O(N()),this.O(N()),this,this.options)):i=t[s],i._$AI(n),s++;s<t.length&&(this._$AR(i&&i._$AB.nextSibling,s),t.length=s)}_$AR(e=this._$AA.nextSibling,t){for(this._$AP?.(!1,!0,t);e!==this._$AB;){let i=xt(e).nextSibling;xt(e).remove(),e=i}}setConnected(e){this._$AM===void 0&&(this._$Cv=e,this._$AP?.(e))}},P=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(e,t,i,s,n){this.type=1,this._$AH=u,this._$AN=void 0,this.element=e,this.name=t,this._$AM=s,this.options=n,i.length>2||i[0]!==""||i[1]!==""?(this._$AH=Array(i.length-1).fill(new String),this.strings=i):this._$AH=u}_$AI(e,t=this,i,s){let n=this.strings,o=!1;if(n===void 0)e=S(this,e,t,0),o=!z(e)||e!==this._$AH&&e!==w,o&&(this._$AH=e);else{let l=e,a,h;for(e=n[0],a=0;a<n.length-1;a++)h=S(this,l[i+a],t,a),h===w&&(h=this._$AH[a]),o||=!z(h)||h!==this._$AH[a],h===u?e=u:e!==u&&(e+=(h??"")+n[a+1]),this._$AH[a]=h}o&&!s&&this.j(e)}j(e){e===u?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,e??"")}},q=class extends P{constructor(){super(...arguments),this.type=3}j(e){this.element[this.name]=e===u?void 0:e}},Z=class extends P{constructor(){super(...arguments),this.type=4}j(e){this.element.toggleAttribute(this.name,!!e&&e!==u)}},K=class extends P{constructor(e,t,i,s,n){super(e,t,i,s,n),this.type=5}_$AI(e,t=this){if((e=S(this,e,t,0)??u)===w)return;let i=this._$AH,s=e===u&&i!==u||e.capture!==i.capture||e.once!==i.once||e.passive!==i.passive,n=e!==u&&(i===u||s);s&&this.element.removeEventListener(this.name,this,i),n&&this.element.addEventListener(this.name,this,e),this._$AH=e}handleEvent(e){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,e):this._$AH.handleEvent(e)}},F=class{constructor(e,t,i){this.element=e,this.type=6,this._$AN=void 0,this._$AM=t,this.options=i}get _$AU(){return this._$AM._$AU}_$AI(e){S(this,e)}},Ht={M:nt,P:y,A:ot,C:1,L:Ut,R:W,D:Tt,V:S,I:k,H:P,N:Z,U:K,B:q,F},ce=rt.litHtmlPolyfillSupport;ce?.(L,k),(rt.litHtmlVersions??=[]).push("3.3.3");var Dt=(r,e,t)=>{let i=t?.renderBefore??e,s=i._$litPart$;if(s===void 0){let n=t?.renderBefore??null;i._$litPart$=s=new k(e.insertBefore(N(),n),n,void 0,t??{})}return s._$AI(r),s};var ct=globalThis,b=class extends ${constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let e=super.createRenderRoot();return this.renderOptions.renderBefore??=e.firstChild,e}update(e){let t=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(e),this._$Do=Dt(t,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return w}};b._$litElement$=!0,b.finalized=!0,ct.litElementHydrateSupport?.({LitElement:b});var he=ct.litElementPolyfillSupport;he?.({LitElement:b});(ct.litElementVersions??=[]).push("4.2.2");var Nt={ATTRIBUTE:1,CHILD:2,PROPERTY:3,BOOLEAN_ATTRIBUTE:4,EVENT:5,ELEMENT:6},zt=r=>(...e)=>({_$litDirective$:r,values:e}),X=class{constructor(e){}get _$AU(){return this._$AM._$AU}_$AT(e,t,i){this._$Ct=e,this._$AM=t,this._$Ci=i}_$AS(e,t){return this.update(e,t)}update(e,t){return this.render(...t)}};var{I:de}=Ht,Lt=r=>r;var It=()=>document.createComment(""),T=(r,e,t)=>{let i=r._$AA.parentNode,s=e===void 0?r._$AB:e._$AA;if(t===void 0){let n=i.insertBefore(It(),s),o=i.insertBefore(It(),s);t=new de(n,o,r,r.options)}else{let n=t._$AB.nextSibling,o=t._$AM,l=o!==r;if(l){let a;t._$AQ?.(r),t._$AM=r,t._$AP!==void 0&&(a=r._$AU)!==o._$AU&&t._$AP(a)}if(n!==s||l){let a=t._$AA;for(;a!==n;){let h=Lt(a).nextSibling;Lt(i).insertBefore(a,s),a=h}}}return t},x=(r,e,t=r)=>(r._$AI(e,t),r),ue={},Ot=(r,e=ue)=>r._$AH=e,Bt=r=>r._$AH,G=r=>{r._$AR(),r._$AA.remove()};var jt=(r,e,t)=>{let i=new Map;for(let s=e;s<=t;s++)i.set(r[s],s);return i},Vt=zt(class extends X{constructor(r){if(super(r),r.type!==Nt.CHILD)throw Error("repeat() can only be used in text expressions")}dt(r,e,t){let i;t===void 0?t=e:e!==void 0&&(i=e);let s=[],n=[],o=0;for(let l of r)s[o]=i?i(l,o):o,n[o]=t(l,o),o++;return{values:n,keys:s}}render(r,e,t){return this.dt(r,e,t).values}update(r,[e,t,i]){let s=Bt(r),{values:n,keys:o}=this.dt(e,t,i);if(!Array.isArray(s))return this.ut=o,n;let l=this.ut??=[],a=[],h,v,c=0,p=s.length-1,d=0,m=n.length-1;for(;c<=p&&d<=m;)if(s[c]===null)c++;else if(s[p]===null)p--;else if(l[c]===o[d])a[d]=x(s[c],n[d]),c++,d++;else if(l[p]===o[m])a[m]=x(s[p],n[m]),p--,m--;else if(l[c]===o[m])a[m]=x(s[c],n[m]),T(r,a[m+1],s[c]),c++,m--;else if(l[p]===o[d])a[d]=x(s[p],n[d]),T(r,s[c],s[p]),p--,d++;else if(h===void 0&&(h=jt(o,d,m),v=jt(l,c,p)),h.has(l[c]))if(h.has(l[p])){let f=v.get(o[d]),Q=f!==void 0?s[f]:null;if(Q===null){let gt=T(r,s[c]);x(gt,n[d]),a[d]=gt}else a[d]=x(Q,n[d]),T(r,s[c],Q),s[f]=null;d++}else G(s[p]),p--;else G(s[c]),c++;for(;d<=m;){let f=T(r,a[m+1]);x(f,n[d]),a[d++]=f}for(;c<=p;){let f=s[c++];f!==null&&G(f)}return this.ut=o,Ot(r,a),w}});async function Wt(r){return(await r.callWS({type:"magicpi_nvr/cameras"})).cameras}async function*qt(r,e,t){let i=null;do{let s=await r.callWS({type:"magicpi_nvr/events",camera_ids:e,start:t.start,end:t.end,limit:500,...i&&{cursor:i}});yield s.events,i=s.cursor}while(i)}function Zt(r,e){return r.connection.subscribeMessage(e,{type:"magicpi_nvr/subscribe"})}async function Kt(r,e){let{path:t}=await r.callWS({type:"auth/sign_path",path:e,expires:21600});return r.hassUrl(t)}var J=class{constructor(){this.urls=new Map}get(e,t){let i=this.urls.get(t);if(i)return this.urls.delete(t),this.urls.set(t,i),i;let s=this.load(e,t);if(this.urls.set(t,s),this.urls.size>200){let[n,o]=this.urls.entries().next().value;this.urls.delete(n),o.then(l=>l&&URL.revokeObjectURL(l))}return s}clear(){for(let e of this.urls.values())e.then(t=>t&&URL.revokeObjectURL(t));this.urls.clear()}async load(e,t){try{let i=await e.fetchWithAuth(t);return i.ok?URL.createObjectURL(await i.blob()):null}catch{return this.urls.delete(t),null}}};var Ft={name:"MagicPi timeline",description:"A day of your MagicPi cameras on a line: hover, click, scrub.",previous_day:"Previous day",next_day:"Next day",day:"Day",today:"Today",live:"Live",live_of:"Live picture of {camera}",events_of:"Events of {camera}",events:"{count} events",event:"1 event",no_events:"No events on this day",no_event_here:"No event selected",event_of:"event {index} of {count}",loading:"Loading \u2026",failed:"The recordings could not be loaded: {error}",clip_failed:"This clip cannot be played. It may have been deleted.",no_cameras:"No MagicPi camera has been added yet.",zoom_in:"Zoom in",zoom_out:"Zoom out",protected:"protected",recording:"recording",asleep:"asleep, last picture",no_picture:"no picture yet",title:"Title",entities:"Cameras (none = all)"},pe={en:Ft,de:{name:"MagicPi-Zeitleiste",description:"Ein Tag deiner MagicPi-Kameras auf einer Linie: zeigen, klicken, ziehen.",previous_day:"Vorheriger Tag",next_day:"N\xE4chster Tag",day:"Tag",today:"Heute",live:"Live",live_of:"Livebild von {camera}",events_of:"Ereignisse von {camera}",events:"{count} Ereignisse",event:"1 Ereignis",no_events:"Keine Ereignisse an diesem Tag",no_event_here:"Kein Ereignis gew\xE4hlt",event_of:"Ereignis {index} von {count}",loading:"Wird geladen \u2026",failed:"Die Aufnahmen konnten nicht geladen werden: {error}",clip_failed:"Dieser Clip kann nicht abgespielt werden. Vielleicht wurde er gel\xF6scht.",no_cameras:"Es wurde noch keine MagicPi-Kamera hinzugef\xFCgt.",zoom_in:"Vergr\xF6\xDFern",zoom_out:"Verkleinern",protected:"gesch\xFCtzt",recording:"nimmt auf",asleep:"schl\xE4ft, letztes Bild",no_picture:"noch kein Bild",title:"Titel",entities:"Kameras (keine = alle)"},fr:{name:"Chronologie MagicPi",description:"Une journ\xE9e de vos cam\xE9ras MagicPi sur une ligne : survolez, cliquez, faites glisser.",previous_day:"Jour pr\xE9c\xE9dent",next_day:"Jour suivant",day:"Jour",today:"Aujourd'hui",live:"Direct",live_of:"Image en direct de {camera}",events_of:"\xC9v\xE9nements de {camera}",events:"{count} \xE9v\xE9nements",event:"1 \xE9v\xE9nement",no_events:"Aucun \xE9v\xE9nement ce jour-l\xE0",no_event_here:"Aucun \xE9v\xE9nement s\xE9lectionn\xE9",event_of:"\xE9v\xE9nement {index} sur {count}",loading:"Chargement \u2026",failed:"Impossible de charger les enregistrements : {error}",clip_failed:"Ce clip ne peut pas \xEAtre lu. Il a peut-\xEAtre \xE9t\xE9 supprim\xE9.",no_cameras:"Aucune cam\xE9ra MagicPi n'a encore \xE9t\xE9 ajout\xE9e.",zoom_in:"Agrandir",zoom_out:"R\xE9duire",protected:"prot\xE9g\xE9",recording:"enregistrement en cours",asleep:"en veille, derni\xE8re image",no_picture:"pas encore d'image",title:"Titre",entities:"Cam\xE9ras (aucune = toutes)"},es:{name:"Cronolog\xEDa de MagicPi",description:"Un d\xEDa de tus c\xE1maras MagicPi en una l\xEDnea: se\xF1ala, pulsa, arrastra.",previous_day:"D\xEDa anterior",next_day:"D\xEDa siguiente",day:"D\xEDa",today:"Hoy",live:"En directo",live_of:"Imagen en directo de {camera}",events_of:"Eventos de {camera}",events:"{count} eventos",event:"1 evento",no_events:"No hay eventos en este d\xEDa",no_event_here:"Ning\xFAn evento seleccionado",event_of:"evento {index} de {count}",loading:"Cargando \u2026",failed:"No se pudieron cargar las grabaciones: {error}",clip_failed:"Este clip no se puede reproducir. Puede que se haya eliminado.",no_cameras:"Todav\xEDa no se ha a\xF1adido ninguna c\xE1mara MagicPi.",zoom_in:"Acercar",zoom_out:"Alejar",protected:"protegido",recording:"grabando",asleep:"en reposo, \xFAltima imagen",no_picture:"todav\xEDa sin imagen",title:"T\xEDtulo",entities:"C\xE1maras (ninguna = todas)"}};function _(r,e,t={}){return(pe[(r??"en").split("-")[0]]??Ft)[e].replace(/\{(\w+)\}/g,(s,n)=>String(t[n]??""))}function R(r){return r.locale.time_zone==="server"?r.config.time_zone:Intl.DateTimeFormat().resolvedOptions().timeZone}function dt(r){let{time_format:e}=r.locale;return e==="12"?!0:e==="24"?!1:void 0}function ut(r,e){return new Intl.DateTimeFormat("sv-SE",{timeZone:e,dateStyle:"short"}).format(r)}function Y(r,e){return new Date(Date.parse(`${r}T12:00:00Z`)+e*24*36e5).toISOString().slice(0,10)}function Gt(r,e){return{start:Xt(r,e),end:Xt(Y(r,1),e)}}function Xt(r,e){let t=Date.parse(`${r}T00:00:00Z`),i=t-ht(t,e);return i=t-ht(i,e),i}function ht(r,e){let t=new Intl.DateTimeFormat("en-US",{timeZone:e,hourCycle:"h23",year:"numeric",month:"numeric",day:"numeric",hour:"numeric",minute:"numeric",second:"numeric"}).formatToParts(r),i=n=>Number(t.find(o=>o.type===n)?.value);return Date.UTC(i("year"),i("month")-1,i("day"),i("hour"),i("minute"),i("second"))-Math.floor(r/1e3)*1e3}function Jt(r,e,t){let i=r.end-r.start,s=[1,2,5,10,15,30,60,120,180,240,360,720].map(a=>a*6e4).find(a=>i/a<=t)??12*36e5,n=ht(r.start,e),o=Math.ceil((r.start+n)/s)*s-n,l=[];for(let a=o;a<=r.end;a+=s)l.push(a);return l}var Yt=3,me=12,pt=176;function I(r,e){let t=0,i=r.length;for(;t<i;){let s=t+i>>1;r[s].start<=e?t=s+1:i=s}return t-1}var mt=class extends b{constructor(){super(...arguments);this.events=[];this.span={start:0,end:1};this.cursor=null;this.selected=null;this._hover=null;this._hoverUrl=null;this.observer=new ResizeObserver(()=>this.draw());this.pointers=new Map;this.dragging=!1}static{this.properties={hass:{attribute:!1},camera:{attribute:!1},events:{attribute:!1},span:{attribute:!1},cursor:{attribute:!1},selected:{attribute:!1},thumbnails:{attribute:!1},formatTime:{attribute:!1},_hover:{state:!0},_hoverUrl:{state:!0}}}static{this.styles=U`
    :host {
      display: block;
      position: relative;
      height: 44px;
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
      width: ${pt}px;
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
  `}connectedCallback(){super.connectedCallback(),this.observer.observe(this)}disconnectedCallback(){super.disconnectedCallback(),this.observer.disconnect()}updated(t){["events","span","cursor","selected","hass"].some(i=>t.has(i))&&this.draw()}index(){let t=this.events.findIndex(i=>i.id===this.selected);return t>=0||this.cursor===null?t:I(this.events,this.cursor)}describe(t){let i=Math.max(1,Math.round((t.end-t.start)/1e3)),s=this.hass.locale.language;return[this.formatTime(t.start),t.reason,`${i} s`,t.state==="recording"&&_(s,"recording"),t.protected&&_(s,"protected"),...t.labels].filter(Boolean).join(" \xB7 ")}render(){let t=this.hass.locale.language,i=this.index(),s=this.events[i],n=this._hover,o=s?`${this.describe(s)}, ${_(t,"event_of",{index:i+1,count:this.events.length})}`:this.events.length>1?_(t,"events",{count:this.events.length}):_(t,this.events.length?"event":"no_events");return g`
      <div
        class="track"
        role="slider"
        tabindex="0"
        aria-label=${_(t,"events_of",{camera:this.camera.name})}
        aria-valuemin="0"
        aria-valuemax=${this.events.length}
        aria-valuenow=${i+1}
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
      ${n?g`<div class="tooltip" style="left:${n.x}px" aria-hidden="true">
              ${this._hoverUrl?g`<img src=${this._hoverUrl} alt="" />`:g`<div class="blank"></div>`}
              ${this.describe(n.event)}
            </div>`:u}
    `}x(t,i){return(t-this.span.start)/(this.span.end-this.span.start)*i}at(t){let{width:i}=this.getBoundingClientRect(),s=Math.min(1,Math.max(0,t/i));return this.span.start+s*(this.span.end-this.span.start)}draw(){let t=this.renderRoot.querySelector("canvas"),{clientWidth:i,clientHeight:s}=this;if(!t||!i)return;let n=window.devicePixelRatio||1;(t.width!==Math.round(i*n)||t.height!==Math.round(s*n))&&(t.width=Math.round(i*n),t.height=Math.round(s*n));let o=t.getContext("2d"),l=getComputedStyle(this),a=(d,m)=>l.getPropertyValue(d).trim()||m,h=a("--primary-color","#03a9f4"),v=a("--warning-color","#ffa600"),c=a("--error-color","#db4437"),p=a("--primary-text-color","#111");o.setTransform(n,0,0,n,0,0),o.clearRect(0,0,i,s);for(let d of this.events){if(d.end<this.span.start||d.start>this.span.end)continue;let m=this.x(d.start,i),f=Math.max(Yt,this.x(d.end,i)-m);o.fillStyle=d.state==="recording"?c:d.protected?v:h,o.fillRect(m,8,f,s-16),d.id===this.selected&&(o.fillStyle=p,o.fillRect(m,3,f,3),o.fillRect(m,s-6,f,3))}this.cursor!==null&&this.cursor>=this.span.start&&this.cursor<=this.span.end&&(o.fillStyle=p,o.fillRect(this.x(this.cursor,i)-1,0,2,s))}eventNear(t){let{width:i}=this.getBoundingClientRect(),s=this.at(t),n=I(this.events,s),o=null,l=me;for(let a of[this.events[n-1],this.events[n],this.events[n+1]])if(a){let h=this.x(a.start,i),v=Math.max(h+Yt,this.x(a.end,i)),c=t<h?h-t:Math.max(0,t-v);(c<l||c===0&&l===0)&&(o=a,l=c)}return o}local(t){return t.clientX-this.getBoundingClientRect().left}tell(t,i,s){let n={camera:this.camera.id,at:i,event:s};this.dispatchEvent(new CustomEvent(t,{detail:n,bubbles:!0,composed:!0}))}zoom(t,i){this.dispatchEvent(new CustomEvent("row-zoom",{detail:{factor:t,around:i},bubbles:!0,composed:!0}))}show(t){let i=this.eventNear(t);if(!i){this._hover=null;return}let{width:s}=this.getBoundingClientRect(),n=Math.max(0,Math.min(s-pt,t-pt/2));i.id!==this._hover?.event.id&&(this._hoverUrl=null,i.thumbnail&&this.thumbnails.get(this.hass,i.thumbnail).then(o=>{this._hover?.event.id===i.id&&(this._hoverUrl=o)})),this._hover={x:n,event:i}}pointerDown(t){t.button===0&&(t.currentTarget.setPointerCapture(t.pointerId),this.pointers.set(t.pointerId,this.local(t)),this.dragging=this.pointers.size===1,this.dragging&&this.scrub(t))}pointerMove(t){let i=this.local(t);if(this.pointers.size===2&&this.pointers.has(t.pointerId)){let s=()=>{let[a,h]=[...this.pointers.values()];return Math.max(1,Math.abs(a-h))},n=s();this.pointers.set(t.pointerId,i);let[o,l]=[...this.pointers.values()];this.zoom(n/s(),this.at((o+l)/2));return}this.dragging?this.scrub(t):this.show(i)}scrub(t){let i=this.local(t);this.show(i),this.tell("row-scrub",this.at(i),this.eventNear(i))}pointerUp(t){let i=this.dragging&&this.pointers.has(t.pointerId);if(this.pointers.delete(t.pointerId),this.dragging=!1,i){let s=this.local(t),n=this.eventNear(s);this.tell("row-play",this.at(s),n),t.pointerType!=="mouse"&&(this._hover=null)}}pointerLeave(t){t.type==="pointercancel"&&(this.pointers.delete(t.pointerId),this.dragging=!1),this.dragging||(this._hover=null)}wheel(t){t.ctrlKey&&(t.preventDefault(),this.zoom(t.deltaY>0?1.25:.8,this.at(this.local(t))))}keyDown(t){let i=this.index(),s={ArrowLeft:i-1,ArrowDown:i-1,ArrowRight:i+1,ArrowUp:i+1,PageUp:i+10,PageDown:i-10,Home:0,End:this.events.length-1};if(t.key in s&&this.events.length){t.preventDefault();let n=this.events[Math.min(this.events.length-1,Math.max(0,s[t.key]))];this.tell("row-play",n.start,n)}else if(t.key===" "||t.key==="Enter")t.preventDefault(),this.dispatchEvent(new CustomEvent("row-pause",{bubbles:!0,composed:!0}));else if(t.key==="+"||t.key==="-"){t.preventDefault();let n=this.cursor??(this.span.start+this.span.end)/2;this.zoom(t.key==="+"?.5:2,n)}}};customElements.define("magicpi-timeline-row",mt);var ve=5*6e4,ge=1e4,fe=150,Qt=(r,e)=>r>=e.start&&r<=e.end,vt=class extends b{constructor(){super(...arguments);this._cameras=null;this._date="";this._view={start:0,end:1};this._events=new Map;this._stage={kind:"none"};this._cursor=null;this._loading=!1;this._error=null;this._tick=0;this.thumbnails=new J;this.unsubscribe=null;this.load=0;this.clipRequest=0;this.scrubbing=!1;this.wide=new ResizeObserver(()=>this.requestUpdate());this.formatTime=t=>new Intl.DateTimeFormat(this.hass.locale.language,{timeZone:R(this.hass),timeStyle:"medium",hour12:dt(this.hass)}).format(t)}static{this.properties={hass:{attribute:!1},_config:{state:!0},_cameras:{state:!0},_date:{state:!0},_view:{state:!0},_events:{state:!0},_stage:{state:!0},_cursor:{state:!0},_loading:{state:!0},_error:{state:!0},_tick:{state:!0}}}static getConfigForm(){let t=document.documentElement.lang;return{schema:[{name:"title",selector:{text:{}}},{name:"entities",selector:{entity:{multiple:!0,filter:{domain:"camera",integration:"magicpi_nvr"}}}}],computeLabel:i=>_(t,i.name)}}static getStubConfig(){return{}}setConfig(t){if(t.entities!==void 0&&!Array.isArray(t.entities))throw new Error("entities must be a list of camera entities");this._config=t,this._cameras&&this.start()}getCardSize(){return 8+(this._cameras?.length??1)}getGridOptions(){return{columns:12,min_columns:6}}connectedCallback(){super.connectedCallback(),this.wide.observe(this),this.timer=window.setInterval(()=>{document.visibilityState==="visible"&&this._tick++},ge),this.hass&&this.hasUpdated&&this.start()}disconnectedCallback(){super.disconnectedCallback(),this.wide.disconnect(),window.clearInterval(this.timer),window.clearTimeout(this.scrub),this.load++,this.unsubscribe?.then(t=>t(),()=>{}),this.unsubscribe=null,this.thumbnails.clear()}firstUpdated(){this.start()}willUpdate(t){t.has("hass")&&!this._date&&this.hass&&this.goTo(ut(Date.now(),R(this.hass)))}text(t,i){return _(this.hass?.locale.language,t,i)}get today(){return ut(Date.now(),R(this.hass))}get day(){return Gt(this._date,R(this.hass))}async start(){try{let t=await this.fetchCameras();this._cameras=t;let i=t.find(s=>s.picture)??t[0];this._stage.kind==="none"&&i&&(this._stage={kind:"live",camera:i.id}),this.unsubscribe??=Zt(this.hass,s=>this.noticed(s)),await this.unsubscribe,await this.reload()}catch(t){this.failed(t)}}async fetchCameras(){let t=this._config?.entities,i=await Wt(this.hass);return t?.length?t.flatMap(s=>i.filter(n=>n.entity_id===s)):i.sort((s,n)=>s.name.localeCompare(n.name))}failed(t){this._loading=!1,this._error=t.message??String(t)}goTo(t){this._date=t,this._view=this.day,this._cursor=null,this._cameras&&this.reload()}async reload(){let t=this._cameras,i=++this.load;if(this._error=null,!t?.length){this._events=new Map;return}this._loading=!0;let s=new Map(t.map(n=>[n.id,[]]));try{let n=t.map(o=>o.id);for await(let o of qt(this.hass,n,this.day)){if(i!==this.load)return;let l=new Map;for(let a of o.reverse()){let h=l.get(a.camera)??[];h.push(a),l.set(a.camera,h)}for(let[a,h]of l)s.set(a,[...h,...s.get(a)??[]]);this._events=new Map(s),await this.updateComplete}this._events=s,this._loading=!1,this.dispatchEvent(new CustomEvent("magicpi-timeline-loaded",{bubbles:!0,composed:!0}))}catch(n){i===this.load&&this.failed(n)}}noticed(t){let{event:i}=t,s=this._events.get(i.camera);if(!s)return;let n=s.filter(o=>o.id!==i.id);t.type!=="event_deleted"&&Qt(t.event.start,this.day)&&n.splice(I(n,t.event.start)+1,0,t.event),this._events=new Map(this._events).set(i.camera,n),this.camera(i.camera)?.picture||this.fetchCameras().then(o=>{this._cameras=o},o=>this.failed(o))}async play(t,i){let s=Math.max(0,Math.min(i,t.end)-t.start)/1e3,n=++this.clipRequest;if(this._cursor=i,this._stage.kind==="clip"&&this._stage.event.id===t.id&&this._stage.url){this._stage={...this._stage,offset:s},this.seek(s),this.scrubbing||this.video?.play();return}this._stage={kind:"clip",event:t,offset:s,url:null};try{let o=await Kt(this.hass,t.clip);n===this.clipRequest&&(this._stage={kind:"clip",event:t,offset:s,url:o})}catch(o){this.failed(o)}}get video(){return this.renderRoot.querySelector("video")}seek(t){this.video&&(this.video.currentTime=t)}live(t){this.clipRequest++,this._cursor=null,this._stage={kind:"live",camera:t}}rowPlay(t){let{camera:i,at:s,event:n}=t.detail;window.clearTimeout(this.scrub),this.scrubbing=!1;let o=this._events.get(i)??[],l=n??o[I(o,s)+1];l?(this.play(l,Math.max(s,l.start)),this.reveal(l.start)):this._date===this.today&&this.live(i)}rowScrub(t){let{at:i,event:s}=t.detail;this._cursor=i,window.clearTimeout(this.scrub),this.scrubbing=!0,this.video?.pause(),s&&(this._stage.kind==="clip"&&this._stage.event.id===s.id?this.seek(Math.max(0,i-s.start)/1e3):this.scrub=window.setTimeout(()=>{this.play(s,i)},fe))}rowZoom(t){this.zoom(t.detail.factor,t.detail.around)}rowPause(){this.video?.paused?this.video.play():this.video?.pause()}zoom(t,i){let{start:s,end:n}=this._view,{day:o}=this,l=Math.min(o.end-o.start,Math.max(ve,(n-s)*t)),a=(i-s)/(n-s),h=Math.min(o.end-l,Math.max(o.start,i-a*l));this._view={start:h,end:h+l}}zoomButton(t){this.zoom(t,this._cursor??(this._view.start+this._view.end)/2)}reveal(t){if(!Qt(t,this._view)){let i=this._view.end-this._view.start,s=Math.min(this.day.end-i,Math.max(this.day.start,t-i/2));this._view={start:s,end:s+i}}}timeUpdate(){this._stage.kind==="clip"&&this.video&&!this.video.seeking&&(this._cursor=this._stage.event.start+this.video.currentTime*1e3)}clipEnded(){if(this._stage.kind==="clip"){let{event:t}=this._stage,i=this._events.get(t.camera)??[],s=i[i.findIndex(n=>n.id===t.id)+1];s&&s.state!=="recording"&&(this.play(s,s.start),this.reveal(s.start))}}picture(t,i){let n=(t?.entity_id?this.hass.states[t.entity_id]:void 0)?.attributes.entity_picture;return typeof n!="string"||!(t?.picture||this.streams(t))?null:this.hass.hassUrl(i?n.replace("/camera_proxy/","/camera_proxy_stream/"):`${n}&t=${this._tick}`)}streams(t){let i=t?.entity_id?this.hass.states[t.entity_id]?.state:void 0;return i==="streaming"||i==="recording"}render(){if(!this.hass||!this._config)return u;let t=this._cameras;return g`
      <ha-card .header=${this._config.title}>
        <div class="body">
          ${this.renderStage()} ${this.renderBar()}
          ${t?.length===0?g`<p class="hint">${this.text("no_cameras")}</p>`:u}
          <div
            class="rows"
            @row-play=${this.rowPlay}
            @row-scrub=${this.rowScrub}
            @row-zoom=${this.rowZoom}
            @row-pause=${this.rowPause}
          >
            ${Vt(t??[],i=>i.id,i=>this.renderRow(i))}
            ${t?.length?this.renderAxis():u}
          </div>
          ${t?g`<p class="hint" role="status">${this.status()}</p>`:u}
        </div>
      </ha-card>
    `}status(){if(this._error)return this.text("failed",{error:this._error});if(this._loading||!this._cameras)return this.text("loading");let t=[...this._events.values()].reduce((i,s)=>i+s.length,0);return t>1?this.text("events",{count:t}):this.text(t?"event":"no_events")}camera(t){return this._cameras?.find(i=>i.id===t)}renderStage(){let t=this._stage;if(t.kind==="clip"){let s=this.camera(t.event.camera)?.name??"";return g`<div class="stage">
        ${t.url?g`<video
                src=${t.url}
                aria-label="${s}, ${this.formatTime(t.event.start)}"
                controls
                ?autoplay=${!this.scrubbing}
                preload="auto"
                muted
                playsinline
                @loadedmetadata=${()=>this.seek(t.offset)}
                @timeupdate=${this.timeUpdate}
                @ended=${this.clipEnded}
                @error=${()=>{this._error=this.text("clip_failed")}}
              ></video>`:u}
        <span class="caption">${s} · ${this.formatTime(t.event.start)}</span>
      </div>`}if(t.kind==="live"){let s=this.camera(t.camera),n=s?.name??"",o=this.picture(s,!0),l=this.streams(s),a=l?"live":o?"asleep":"no_picture";return g`<div class="stage">
        ${o?g`<img src=${o} alt=${this.text("live_of",{camera:n})} />`:u}
        <span class="caption">
          ${n} · ${this.text(a)} ${l?g`<i class="dot"></i>`:u}
        </span>
      </div>`}let i=this._cameras?this.text("no_event_here"):this.status();return g`<div class="stage"><span class="caption">${i}</span></div>`}renderBar(){let{today:t}=this;return g`<div class="bar">
      <button aria-label=${this.text("previous_day")} @click=${()=>this.goTo(Y(this._date,-1))}>
        ‹
      </button>
      <input
        type="date"
        aria-label=${this.text("day")}
        .value=${this._date}
        max=${t}
        @change=${i=>{let{value:s}=i.target;s&&this.goTo(s)}}
      />
      <button
        aria-label=${this.text("next_day")}
        ?disabled=${this._date>=t}
        @click=${()=>this.goTo(Y(this._date,1))}
      >
        ›
      </button>
      <button class="wide" @click=${()=>this.goTo(t)}>${this.text("today")}</button>
      <span class="grow"></span>
      <button aria-label=${this.text("zoom_out")} @click=${()=>this.zoomButton(2)}>−</button>
      <button aria-label=${this.text("zoom_in")} @click=${()=>this.zoomButton(.5)}>+</button>
    </div>`}renderRow(t){let i=this._stage,s=i.kind==="clip"&&i.event.camera===t.id,n=this.picture(t,!1);return g`<div class="row">
      <span class="name">${t.name}</span>
      <magicpi-timeline-row
        .hass=${this.hass}
        .camera=${t}
        .events=${this._events.get(t.id)??[]}
        .span=${this._view}
        .cursor=${this._cursor}
        .selected=${s?i.event.id:null}
        .thumbnails=${this.thumbnails}
        .formatTime=${this.formatTime}
      ></magicpi-timeline-row>
      <button
        class="tile ${i.kind==="live"&&i.camera===t.id?"on":""}"
        aria-label=${this.text("live_of",{camera:t.name})}
        @click=${()=>this.live(t.id)}
      >
        ${n?g`<img src=${n} alt="" />`:u}
      </button>
    </div>`}renderAxis(){let t=R(this.hass),i=this._view.end-this._view.start,s=this.clientWidth<500?5:12,n=new Intl.DateTimeFormat(this.hass.locale.language,{timeZone:t,hour:"numeric",minute:"2-digit",hour12:dt(this.hass)});return g`<div class="row axis" aria-hidden="true">
      <div class="marks">
        ${Jt(this._view,t,s).map(o=>{let l=(o-this._view.start)/i,a=l<.02?"first":l>.98?"last":"";return g`<span class=${a} style="left:${l*100}%">${n.format(o)}</span>`})}
      </div>
    </div>`}static{this.styles=U`
    ha-card {
      overflow: visible;
      /* Rows may be narrower than the page: names go above them on a phone. */
      container-type: inline-size;
    }
    .body {
      padding: 12px;
    }
    .stage {
      position: relative;
      width: 100%;
      aspect-ratio: 4 / 3;
      max-height: 60vh;
      border-radius: 8px;
      overflow: hidden;
      background: #000;
    }
    .stage img,
    .stage video {
      position: absolute;
      inset: 0;
      width: 100%;
      height: 100%;
      object-fit: contain;
    }
    .caption {
      position: absolute;
      top: 8px;
      left: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
      pointer-events: none;
    }
    .dot {
      display: inline-block;
      width: 8px;
      height: 8px;
      border-radius: 4px;
      background: #f44336;
    }
    .bar {
      display: flex;
      gap: 6px;
      align-items: center;
      margin: 10px 0;
    }
    .grow {
      flex: 1;
    }
    button,
    input {
      font: inherit;
      height: 40px;
      min-width: 40px;
      box-sizing: border-box;
      border: 1px solid var(--divider-color, #ccc);
      border-radius: 8px;
      background: var(--card-background-color, #fff);
      color: var(--primary-text-color, #111);
      color-scheme: light dark;
    }
    button {
      cursor: pointer;
      padding: 0 8px;
    }
    button:disabled {
      opacity: 0.4;
      cursor: default;
    }
    .row {
      display: grid;
      grid-template-columns: 110px 1fr 58px;
      gap: 8px;
      align-items: center;
      margin-bottom: 8px;
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
    .marks {
      grid-column: 2;
      position: relative;
      height: 18px;
      overflow: hidden;
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
        grid-column: 1 / -1;
        margin-bottom: -6px;
      }
      .marks {
        grid-column: 1;
      }
      .wide {
        display: none;
      }
    }
  `}};customElements.define("magicpi-timeline-card",vt);(window.customCards??=[]).push({type:"magicpi-timeline-card",name:_(document.documentElement.lang,"name"),description:_(document.documentElement.lang,"description"),preview:!0});
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
